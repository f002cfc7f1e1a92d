// The desktop is told when a run ends while nobody looks, once, and not while the window is in front; and the run's report
// is saved through the system's own dialog.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pick } from './dialog.mjs';
import { leashed, play, PILOTHOUSE_NOTIFICATIONS } from './play.mjs';

const tool = (...args) => execFileSync('xdotool', args, { encoding: 'utf8' }).trim();

test('a run that ends out of sight is told to the desktop, once', async () => {
  const service = await leashed(PILOTHOUSE_NOTIFICATIONS, [], process.env);
  assert.equal(service.line, 'ready');
  const told = [];
  service.each((line) => told.push(JSON.parse(line)));
  try {
    await play({
      driver: 'window',
      on: 'practice',
      upTo: 'run-preview',
      async after(d, stage) {
        const window = tool('search', '--onlyvisible', '--name', '^Pilothouse$|· Pilothouse$').split('\n').at(-1);

        tool('windowfocus', window);
        await d.click('run-start');
        await d.waitFor('run-verdict', { text: 'Pass', timeout: 60_000 });
        await d.waitFor('toast', { text: 'cart-pod-delete passed' });
        assert.deepEqual(told, [], 'the window is in front: its own words are enough');

        await d.click('nav-chaos');
        await d.click('project-shop');
        await d.click('workflow-cart-pod-delete');
        await d.click('workflow-run');
        await d.waitFor('run-targets', { text: 'cart' });
        await d.click('run-start');
        await d.waitFor('run-verdict');
        tool('windowunmap', '--sync', window);
        for (let i = 0; i < 300 && told.length === 0; i++) await sleep(100);
        tool('windowmap', '--sync', window);
        tool('windowfocus', window);
        await d.waitFor('run-verdict', { text: 'Pass', timeout: 60_000 });
        assert.equal(told.length, 1, JSON.stringify(told));
        assert.equal(told[0].title, 'cart-pod-delete passed');
        assert.match(told[0].body, /^The run cart-pod-delete-\w+ passed\. Resilience score 100 %\.$/);
        await d.screenshot('told');

        const file = join(stage.folder, 'run of cart.xml');
        const save = async (path) => {
          await d.click('run-more');
          await d.click('run-more-junit');
          await pick('Save the report', path, () => d.screenshot('save-report'));
        };
        await save(undefined);
        assert.equal(existsSync(file), false, 'a dialog that is cancelled saves nothing');
        await save(file);
        await d.waitFor('toast', { text: 'run of cart.xml' });
        assert.match(readFileSync(file, 'utf8'), /<testsuite name="cart-pod-delete-\w+" tests="1" failures="0"/);
      },
    });
  } finally {
    await service.stop();
  }
  assert.equal(told.length, 1, 'and nothing comes after');
});
