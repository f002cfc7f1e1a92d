// The repository's care and its end, in Chromium on the practice cluster: strays, a move, deletion and return.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { play } from './play.mjs';

/** A colleague pushes files to a repository of the practice cluster's Git server. */
function push(repositories, path, files) {
  const work = mkdtempSync(join(tmpdir(), 'pilothouse-someone-'));
  const run = (...args) => execFileSync('git', ['-C', work, '-c', 'user.name=Sam', '-c', 'user.email=sam@example.com', ...args], { stdio: 'pipe' });
  run('init', '-q', '-b', 'main');
  const remote = join(repositories, `${path}.git`);
  try {
    run('pull', '-q', remote, 'main');
  } catch {
    execFileSync('git', ['init', '-q', '--bare', '-b', 'main', remote]);
  }
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(work, name)), { recursive: true });
    writeFileSync(join(work, name), text);
  }
  run('add', '-A');
  run('commit', '-qm', 'Add files by hand');
  run('push', '-q', remote, 'main');
}

test('the care of the repository, to its end and back', async () => {
  const findings = [];
  await play({
    driver: 'chromium',
    on: 'practice',
    upTo: 'repository-card',
    after: async (d, stage) => {
      const look = async (name) => {
        await d.screenshot(name);
        findings.push(...(await d.accessibility()).map((finding) => `${name}: ${finding}`));
      };
      push(stage.repositories, 'acme/krci-gitops', {
        'storefront/dev/cart-values.yml': 'replicaCount: 2\n',
        'storefront/storefront-qa/checkout-values.yaml': 'replicaCount: 3\n',
        'gone/dev/cart-values.yaml': 'replicaCount: 4\n',
      });
      await d.click('repository-fetch');
      await d.waitFor('strays', { text: 'gone/dev/cart-values.yaml' });
      await d.waitFor('repository-operator', { text: 'Webhook' });
      await look('repository-with-strays');
      await d.click('stray-storefront/dev/cart-values.yml');
      await d.click('stray-storefront/dev/cart-values.yml-rename');
      await d.click('stray-gone/dev/cart-values.yaml');
      await d.click('stray-gone/dev/cart-values.yaml-delete');
      await look('strays-chosen');
      await d.click('stray-commit');
      await d.waitFor('stray-confirm', { text: 'gone/dev/cart-values.yaml' });
      await look('strays-confirm');
      await d.click('stray-confirm-do');
      await d.waitFor('stray-gone/dev/cart-values.yaml', { gone: true, timeout: 60_000 });
      assert.equal(execFileSync('git', ['-C', join(stage.repositories, 'acme/krci-gitops.git'), 'show', 'main:storefront/dev/cart-values.yaml'], { encoding: 'utf8' }), 'replicaCount: 2\n');

      push(stage.repositories, 'acme/values', { 'README.md': 'moved\n' });
      await d.click('repository-menu');
      await look('repository-menu');
      await d.click('repository-menu-edit');
      await d.fill('edit-path', '/acme/values');
      await d.waitFor('edit-stays', { text: 'ApplicationSets of storefront' });
      await look('edit-repository');
      await d.click('edit-save');
      await d.waitFor('stale-set-storefront', { timeout: 60_000 });
      await look('repository-moved');
      await d.click('set-apply-storefront');
      await d.waitFor('stale-set-storefront', { gone: true, timeout: 60_000 });

      await d.click('repository-menu');
      await d.click('repository-menu-delete');
      await d.waitFor('delete-referrers', { text: 'storefront' });
      await look('delete-referrers');
      await d.click('wizard-next');
      await d.waitFor('delete-stays');
      await look('delete-remains');
      await d.click('wizard-next');
      await look('delete-provider');
      await d.click('wizard-next');
      await d.waitFor('delete-known');
      const focused = await d.run(() => document.activeElement?.getAttribute('data-testid'));
      assert.equal(focused, 'wizard-cancel', 'the way out has the focus');
      await look('delete-confirm');
      await d.click('delete-known');
      await d.click('wizard-save');
      await d.waitFor('repository-kept', { timeout: 60_000 });
      await look('repository-deleted');
      await d.click('repository-bring-back');
      await d.waitFor('repository-card', { timeout: 60_000 });
      await look('repository-back');
      assert.deepEqual(d.problems, [], 'the pages log no error');
    },
  });
  assert.deepEqual([...new Set(findings)], []);
});
