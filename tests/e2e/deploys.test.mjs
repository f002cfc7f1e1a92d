// A deployment from its start to its way back, in Chromium on the practice cluster: the run followed with its logs, one
// cancelled, values synced alone, an earlier deploy brought back with its values, one deployment deleted.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { play } from './play.mjs';

const LONG = 180_000;
const FILE = 'storefront/dev/cart-values.yaml';

/** A colleague pushes a file to the GitOps repository. */
function push(repositories, name, text) {
  const work = mkdtempSync(join(tmpdir(), 'pilothouse-someone-'));
  const run = (...args) => execFileSync('git', ['-C', work, '-c', 'user.name=Sam', '-c', 'user.email=sam@example.com', ...args], { stdio: 'pipe' });
  run('init', '-q', '-b', 'main');
  run('pull', '-q', join(repositories, 'acme/krci-gitops.git'), 'main');
  mkdirSync(dirname(join(work, name)), { recursive: true });
  writeFileSync(join(work, name), text);
  run('add', '-A');
  run('commit', '-qm', 'Scale the cart');
  run('push', '-q', join(repositories, 'acme/krci-gitops.git'), 'main');
}

const show = (stage) => execFileSync('git', ['-C', join(stage.repositories, 'acme/krci-gitops.git'), 'show', `main:${FILE}`], { encoding: 'utf8' });

test('a deployment to its end, and the way back', async () => {
  const findings = [];
  await play({
    driver: 'chromium',
    on: 'practice',
    upTo: 'deploy-plan',
    after: async (d, stage) => {
      const look = async (name) => {
        await d.screenshot(name);
        await d.page.emulateMedia({ colorScheme: 'dark' });
        await d.screenshot(`${name}-dark`);
        await d.page.emulateMedia({ colorScheme: 'light' });
        findings.push(...(await d.accessibility()).map((finding) => `${name}: ${finding}`));
      };
      const environment = async () => {
        await d.click('nav-environments');
        await d.click('open-storefront-dev');
        await d.waitFor('applications');
      };
      const runName = async () => (await d.page.url()).split('/runs/')[1];

      await d.waitFor('deploy-checks');
      await look('deploy-first');
      await d.click('deploy-start');
      await d.waitFor('run-tasks', { text: 'deploy-app', timeout: LONG });
      await d.waitFor('run-log', { text: 'applicationset.argoproj.io/storefront patched', timeout: LONG });
      await look('run-going');
      await d.waitFor('run-status', { text: 'Succeeded', timeout: LONG });
      const first = await runName();
      await d.click('step-deploy-app-deploy-app');
      await d.waitFor('run-log', { text: 'storefront-dev-cart: Synced, Healthy' });
      await d.waitFor('version-cart', { text: /\d/ });
      await look('run-succeeded');

      // Values alone.
      push(stage.repositories, FILE, 'replicaCount: 4\n');
      await d.click('nav-repository');
      await d.click('repository-fetch');
      await environment();
      await d.waitFor('drift-cart', { timeout: LONG });
      await look('environment-with-drift');
      await d.click('sync-open-cart');
      await d.waitFor('sync-confirm', { text: FILE });
      await look('sync-dialog');
      await d.click('sync-confirm-do');
      await d.waitFor('drift-cart', { gone: true, timeout: LONG });

      // The override off, and what that changes.
      await d.click('deploy-open');
      await d.click('deploy-override-cart');
      await d.waitFor('switch-cart', { text: 'replicaCount' });
      await look('deploy-switch-off');
      await d.click('deploy-start');
      await d.waitFor('run-status', { text: 'Running', timeout: LONG });
      await d.click('run-cancel');
      await d.waitFor('run-cancel-confirm');
      await look('run-cancel');
      await d.click('run-cancel-confirm-do');
      await d.waitFor('run-status', { text: 'Cancelled', timeout: LONG });
      await look('run-cancelled');

      // Back to the first deploy, with its values.
      await environment();
      await look('environment-runs');
      await d.click(`rollback-${first}`);
      await d.waitFor('back-diff-cart', { timeout: LONG });
      await look('rollback');
      await d.click('back-restore');
      await d.waitFor('back-diff-cart', { gone: true, timeout: LONG });
      assert.match(show(stage), /^replicaCount: 2$/m);
      await d.click('deploy-start');
      await d.waitFor('run-status', { text: 'Succeeded', timeout: LONG });

      // One deployment goes, and comes back unsynced.
      await environment();
      await d.click('more-checkout');
      await d.click('more-checkout-delete');
      await d.waitFor('delete-deployment-stays', { text: 'not synced' });
      await look('delete-deployment');
      await d.click('delete-deployment-do');
      await d.waitFor('health-checkout', { text: 'Missing', timeout: LONG });
      await d.click('clean-open');
      await d.waitFor('clean-stays', { text: 'values files' });
      await look('clean');
      await d.click('clean-do');
      await d.waitFor('run-status', { text: 'Succeeded', timeout: LONG });
      await look('run-clean');

      await d.click('nav-environments');
      await look('flows');
      await d.click('environments-tab-all');
      await d.waitFor('releases', { text: 'checkout' });
      await look('releases');
      await d.page.goto(`${d.page.url().split('#')[0]}#/environments/storefront/qa/cart`);
      await d.waitFor('note-neverDeployed');
      await look('never-deployed');
      assert.deepEqual(d.problems, [], 'the pages log no error');
    },
  });
  assert.deepEqual([...new Set(findings)], []);
});
