// Commits that cannot go out now, in Chromium on a real API server and Git over HTTPS: the server cannot be reached, and
// then it refuses direct pushes.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { play } from './play.mjs';

const FILE = 'storefront/dev/cart-values.yaml';

/** Pulls the wire to the Git server, or plugs it in again. */
async function wire(stage, plugged) {
  const wish = join(stage.folder, 'unplugged');
  if (plugged) rmSync(wish);
  else writeFileSync(wish, '');
  const done = () => existsSync(join(stage.folder, 'wire')) && readFileSync(join(stage.folder, 'wire'), 'utf8') === (plugged ? 'plugged' : 'unplugged');
  for (let i = 0; i < 200 && !done(); i++) await sleep(50);
  assert.ok(done(), 'the stage moved the wire');
}

test('commits wait for the server, and go beside a branch that takes none', async () => {
  const findings = [];
  await play({
    driver: 'chromium',
    on: 'https',
    upTo: 'values-review',
    after: async (d, stage) => {
      const look = async (name) => {
        await d.screenshot(name);
        findings.push(...(await d.accessibility()).map((finding) => `${name}: ${finding}`));
      };
      const server = join(stage.repositories, 'acme/krci-gitops.git');
      const show = (what) => execFileSync('git', ['-C', server, 'show', what], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });

      await wire(stage, false);
      await d.click('values-commit');
      await d.waitFor('values-keep-offer', { timeout: 120_000 });
      await look('cannot-be-reached');
      await d.click('values-keep');
      await d.waitFor('nav-repository-waiting', { text: '1', timeout: 60_000 });
      await d.waitFor('values-waiting');
      await look('kept-on-this-machine');
      assert.throws(() => show(`main:${FILE}`), 'nothing is on the server');
      await d.click('nav-repository');
      await d.waitFor('unpushed', { text: 'cart-values.yaml', timeout: 60_000 });
      await look('waiting-to-be-pushed');
      await wire(stage, true);
      // It may go out by itself before the button is there.
      if (await d.exists('unpushed-push')) await d.click('unpushed-push').catch(() => {});
      await d.waitFor('nav-repository-waiting', { gone: true, timeout: 120_000 });
      assert.match(show(`main:${FILE}`), /^replicaCount: 2$/m);
      await look('pushed-later');

      writeFileSync(
        join(server, 'hooks', 'pre-receive'),
        '#!/bin/sh\nwhile read old new ref; do\n  if [ "$ref" = refs/heads/main ]; then echo "main takes merge requests only"; exit 1; fi\ndone\n',
        { mode: 0o755 },
      );
      await d.click('nav-environments');
      await d.click('open-storefront-dev');
      await d.click('values-cart');
      await d.waitFor('values-editor', { text: 'replicaCount' });
      await d.run((id) => document.querySelector(`[data-testid="${id}"] .cm-content`).focus(), 'values-editor');
      await d.type(['Control', 'End']);
      await d.type('Enter');
      await d.type('# cart-next');
      await d.click('values-review');
      await d.waitFor('values-diff', { text: 'cart-next' });
      await d.click('values-commit');
      await d.waitFor('values-propose-offer', { timeout: 120_000 });
      await look('refused-by-a-hook');
      const branch = await d.value('values-branch');
      await d.click('values-propose');
      await d.waitFor('values-proposed', { text: branch, timeout: 120_000 });
      await look('pushed-beside');
      assert.match(show(`${branch}:${FILE}`), /cart-next/);
      assert.doesNotMatch(show(`main:${FILE}`), /cart-next/);
      const noise = d.problems.filter((problem) => !problem.startsWith('Failed to load resource'));
      assert.deepEqual(noise, [], 'the pages log no error');
    },
  });
  assert.deepEqual([...new Set(findings)], []);
});
