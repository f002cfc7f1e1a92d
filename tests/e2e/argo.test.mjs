// Where Argo CD alone deploys, in Chromium on the practice cluster that has no KubeRocketCI: a colleague's application is
// found, a new one is made with its values file, drifts, is synced with the others, moves to another version and goes.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';
import { pushAs } from './journey.mjs';
import { play } from './play.mjs';

const LONG = 180_000;
const FILE = 'shop/dev/cart-values.yaml';

test('Argo CD alone, from the first look to the end of an application', async () => {
  const findings = [];
  await play({
    driver: 'chromium',
    on: 'practice',
    upTo: 'first-screen',
    after: async (d, stage) => {
      const repositories = join(stage.repositories, '..', '..', 'practice-argo-cd', 'repositories');
      const gitops = { repositories, name: 'gitops' };
      const show = (path) => execFileSync('git', ['-C', join(repositories, 'acme/gitops.git'), 'show', `main:${path}`], { encoding: 'utf8' });
      const look = async (name) => {
        await d.screenshot(name);
        await d.page.emulateMedia({ colorScheme: 'dark' });
        await d.screenshot(`${name}-dark`);
        await d.page.emulateMedia({ colorScheme: 'light' });
        findings.push(...(await d.accessibility()).map((finding) => `${name}: ${finding}`));
      };
      const environment = async (env = 'dev') => {
        await d.click('nav-environments');
        await d.click(`open-shop-${env}`);
        await d.waitFor('applications');
      };
      const enter = async (id, text) => {
        await d.fill(id, text);
        await d.type('Tab');
      };

      await d.click('connect-practice-argo');
      await d.waitFor('nav-repository', { timeout: 60_000 });
      await d.click('nav-settings');
      await d.fill('identity-name', 'Robin Doe');
      await d.fill('identity-email', 'robin@example.com');
      await d.click('identity-save');
      await d.waitFor('toast');

      // Which repository holds the values, the Applications say themselves.
      await d.click('nav-environments');
      await d.waitFor('argo-elsewhere', { text: 'acme/gitops' });
      await look('argo-first');
      await d.click('argo-use');
      await d.waitFor('repository-url');
      assert.equal(await d.value('repository-url'), 'https://git.practice.local/acme/gitops.git');
      await d.click('repository-register');
      await d.waitFor('repository-card', { text: 'gitops' });
      await d.click('repository-fetch');
      await d.waitFor('clone-ready', { timeout: LONG });
      await environment();
      await d.waitFor('health-checkout', { text: 'Healthy', timeout: LONG });
      await d.waitFor('sync-checkout', { text: 'Synced', timeout: LONG });
      await look('argo-environment');

      // A new application: file and Application, each as it was shown.
      await d.click('nav-environments');
      await d.click('application-new');
      await enter('newapp-flow', 'shop');
      await enter('newapp-env', 'dev');
      await enter('newapp-app', 'cart');
      await d.waitFor('newapp-path', { text: FILE });
      await look('argo-new-place');
      await d.click('wizard-next');
      await enter('newapp-url', 'https://git.practice.local/acme/cart.git');
      await d.fill('newapp-chart', 'deploy-templates');
      await d.fill('newapp-revision', 'build/1.4.0-SNAPSHOT.1');
      await d.fill('newapp-tag', '1.4.0-SNAPSHOT.1');
      await look('argo-new-chart');
      await d.click('wizard-next');
      await d.click('newapp-project');
      await d.click('newapp-project-shop');
      await look('argo-new-target');
      await d.click('wizard-next');
      await d.waitFor('newapp-create-file');
      await look('argo-new-values');
      await d.click('wizard-next');
      await d.waitFor('newapp-yaml', { text: 'kind: Application' });
      await d.waitFor('newapp-yaml', { text: `$values/${FILE}` });
      await look('argo-new-review');
      await d.click('wizard-save');
      await d.waitFor('version-cart', { text: '1.4.0-SNAPSHOT.1', timeout: LONG });
      await d.waitFor('sync-cart', { text: 'OutOfSync', timeout: LONG });
      assert.match(show(FILE), /Values of cart in shop\/dev/);

      // A colleague changes another one: what is out of sync is synced together, and nothing else.
      pushAs('Sam', gitops, 'shop/dev/checkout-values.yaml', 'replicaCount: 3\n');
      await d.click('nav-repository');
      await d.click('repository-fetch');
      await environment();
      await d.waitFor('drift-checkout', { timeout: LONG });
      await look('argo-drift');
      await d.click('sync-all-open');
      await d.waitFor('sync-all-entries', { text: 'cart' });
      await d.waitFor('sync-all-entries', { text: 'checkout' });
      await look('argo-sync-all');
      await d.click('sync-all-do');
      await d.waitFor('sync-all-done', { text: '2 applications', timeout: LONG });
      await look('argo-sync-all-done');
      await d.click('sync-all-close');
      for (const app of ['cart', 'checkout']) {
        await d.waitFor(`sync-${app}`, { text: 'Synced', timeout: LONG });
        await d.waitFor(`health-${app}`, { text: 'Healthy', timeout: LONG });
      }
      await d.waitFor('drift-checkout', { gone: true, timeout: LONG });

      // One application's page, and another version of it, with values that a colleague changed.
      pushAs('Sam', gitops, FILE, 'replicaCount: 2\n');
      await d.page.goto(`${d.page.url().split('#')[0]}#/environments/shop/dev/cart`);
      await d.waitFor('app-argo', { text: 'deploy-templates' });
      await look('argo-application');
      await d.click('version-open');
      await d.fill('version-revision', 'build/1.4.0-SNAPSHOT.2');
      await d.fill('version-tag', '1.4.0-SNAPSHOT.2');
      await d.waitFor('version-diff', { text: '1.4.0-SNAPSHOT.2' });
      await look('argo-version');
      await d.click('version-do');
      await environment();
      await d.waitFor('version-cart', { text: '1.4.0-SNAPSHOT.2', timeout: LONG });
      await d.waitFor('sync-cart', { text: 'Synced', timeout: LONG });

      // Back to the deploy before, the values file with it.
      await d.page.goto(`${d.page.url().split('#')[0]}#/environments/shop/dev/cart`);
      await d.waitFor('past-deploys', { text: '1.4.0-SNAPSHOT.1' });
      await d.waitFor('past-back-1');
      await look('argo-past');
      await d.click('past-back-0');
      await d.waitFor('past-file-diff', { text: 'Values of cart' });
      await d.waitFor('past-diff', { text: '1.4.0-SNAPSHOT.1' });
      await look('argo-go-back');
      await d.click('past-do');
      await d.waitFor('past-do', { gone: true, timeout: LONG });
      await environment();
      await d.waitFor('version-cart', { text: '1.4.0-SNAPSHOT.1', timeout: LONG });
      await d.waitFor('sync-cart', { text: 'Synced', timeout: LONG });
      assert.match(show(FILE), /Values of cart/, 'the values of then');

      // The end of it, with what runs.
      await d.click('more-cart');
      await d.click('more-cart-delete');
      await d.click('delete-deployment-cascade-take');
      await d.waitFor('delete-deployment-goes', { text: 'cart' });
      await look('argo-delete');
      await d.click('delete-deployment-do');
      await d.waitFor('version-cart', { gone: true, timeout: LONG });
      assert.match(show(FILE), /Values of cart/, 'Git is not touched');
      await look('argo-end');
      assert.deepEqual(d.problems, [], 'the pages log no error');
    },
  });
  assert.deepEqual([...new Set(findings)], []);
});
