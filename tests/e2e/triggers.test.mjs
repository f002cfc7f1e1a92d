// A trigger from its sentences to its verdict, in Chromium on the practice cluster: asked for from an environment, checked
// as it is typed, tried, changed against a colleague's change, asked for a word, halted; and Litmus' policies.
import assert from 'node:assert/strict';
import test from 'node:test';
import { play } from './play.mjs';

const LONG = 180_000;
const PLACE = 'krci-storefront-dev';

test('a trigger from its sentences to its verdict', async () => {
  const findings = [];
  await play({
    driver: 'chromium',
    on: 'practice',
    upTo: 'verdict',
    after: async (d) => {
      const look = async (name) => {
        await d.screenshot(name);
        findings.push(...(await d.accessibility()).map((finding) => `${name}: ${finding}`));
        await d.page.emulateMedia({ colorScheme: 'dark' });
        await d.screenshot(`${name}-dark`);
        findings.push(...(await d.accessibility()).map((finding) => `${name}, dark: ${finding}`));
        await d.page.emulateMedia({ colorScheme: 'light' });
      };
      const ask = (command, args) => d.run((c, a) => window.__TAURI_INTERNALS__.invoke(c, a), command, args);
      const pick = async (box, option) => {
        await d.click(box);
        await d.click(`${box}-${option}`);
      };
      const show = (id) => d.run((one) => document.querySelector(`[data-testid="${one}"]`).scrollIntoView({ block: 'center' }), id);
      /** Deploys the cart's tag that is so many places away from the one that runs, as somebody does from elsewhere. */
      const release = async (env) => {
        const view = await ask('environment', { flow: 'storefront', env });
        const other = (app) => app.tags.find((tag) => tag.name !== app.version).name;
        const choices = view.applications.map((app) => ({ application: app.name, tag: app.name === 'cart' ? other(app) : (app.version ?? app.tags[0].name), override: app.override.live }));
        const request = { flow: 'storefront', env, choices, confirm: null, rollbackOf: null, seen: null };
        const { digest } = await ask('preview_deploy', { request });
        await ask('deploy', { request: { ...request, seen: digest } });
        return choices.find((one) => one.application === 'cart').tag;
      };
      const environment = async (env) => {
        await d.click('nav-environments');
        await d.click(`open-storefront-${env}`);
        await d.waitFor('applications');
      };

      // From the application's row the editor opens filled in.
      await environment('dev');
      await look('environment');
      await d.click('more-cart');
      await d.click('more-cart-trigger');
      await d.waitFor('trigger-matches', { text: 'cart' });
      assert.equal(await d.value('trigger-name'), 'test-cart');
      await look('editor-filled-in');

      // A second condition, whose fault is told where it is typed.
      await d.click('condition-add');
      await pick('condition-1-what', 'cel');
      await d.fill('condition-1-cel', 'new.spec.replicas >');
      await d.waitFor('condition-1', { text: 'not a CEL expression' });
      await look('editor-cel-wrong');
      await d.fill('condition-1-cel', 'new.spec.replicas >= 1');
      await pick('trigger-workflow', 'shop/cart-pod-delete');
      await d.click('trigger-approval');
      await d.click('trigger-quiet');
      await d.waitFor('trigger-day-0-mon');
      await show('trigger-day-0-mon');
      await d.fill('trigger-from-0', '25:00');
      await d.waitFor('trigger-guards', { text: 'a time of day is written as 22:00' });
      await look('editor-guards');
      await d.click('trigger-quiet');
      await d.waitFor('trigger-yaml', { text: 'new.spec.replicas >= 1' });
      await d.waitFor('trigger-says', { text: 'once a person agrees' });
      await look('editor-yaml');

      // Tried before it is there: nothing is written and nothing is run.
      await d.click('trigger-tab-test');
      await d.waitFor('test-decision', { text: 'waiting for approval' });
      await d.waitFor('test-guards', { text: 'Makes it wait' });
      await show('test-guards');
      await look('editor-test');
      await d.click('trigger-tab-backtest');
      await d.waitFor('trigger-backtest');
      assert.deepEqual((await ask('list_triggers', {})).triggers, []);
      await d.click('trigger-tab-yaml');
      await d.waitFor('trigger-yaml');
      await d.click('trigger-save');
      await d.waitFor('trigger-test-cart', { timeout: 60_000 });
      await d.click('trigger-open-test-cart');
      await d.waitFor('trigger-says', { text: 'the expression new.spec.replicas >= 1 holds' });
      await d.page.waitForFunction(() => document.body.innerText.includes('this window'), undefined, { timeout: 60_000 });
      await look('trigger-new');

      // Another release waits for a person, who says yes.
      for (let i = 0; ; i++) {
        const { triggers } = await ask('list_triggers', {});
        if (triggers[0].observed.includes('cart')) break;
        assert.ok(i < 300, 'the engine looks at the cart');
        await d.page.waitForTimeout(200);
      }
      const tag = await release('dev');
      await d.waitFor('trigger-asks', { text: tag, timeout: LONG });
      await look('trigger-asks');
      await d.click('ask-yes');
      await d.waitFor('decision-verdict', { text: /Pass|Fail/, timeout: LONG });
      await d.waitFor('decision', { text: tag });
      await look('trigger-decided');
      await d.click('trigger-tab-backtest');
      await d.waitFor('backtest-rows', { text: tag });
      await look('trigger-backtest');
      await d.click('trigger-tab-test');
      await d.waitFor('trigger-test', { text: 'Compared with revision' });
      await look('trigger-test');

      // While it is edited a colleague switches it off.
      await d.click('trigger-edit');
      await d.waitFor('trigger-cooldown');
      await d.fill('trigger-cooldown', '1');
      await pick('trigger-cooldown-unit', 'h');
      await ask('suspend_trigger', { namespace: 'litmus', name: 'test-cart', suspended: true });
      await d.waitFor('trigger-yaml', { text: 'cooldownSeconds: 3600' });
      await d.click('trigger-save');
      await d.waitFor('trigger-conflict', { text: 'suspended' });
      await look('editor-conflict');
      await d.click('trigger-write-mine');
      await d.waitFor('trigger-state', { text: 'Active' });
      await d.waitFor('trigger-says', { text: 'at most once in 1 h' });

      // The next environment only takes what passed.
      await environment('qa');
      await d.click('verdict-required');
      await d.waitFor('toast', { text: 'only takes releases that passed' });
      await look('environment-requires');
      await d.click('deploy-open');
      await d.waitFor('deploy-checks', { text: 'no chaos run has tested' });
      await d.waitFor('tested-cart');
      await look('deploy-requires');
      await environment('qa');
      await d.click('verdict-required');
      await d.waitFor('toast', { text: 'takes any release again' });

      // The kill switch, seen from everywhere.
      await d.click('nav-triggers');
      await d.click('halt-open');
      await d.waitFor('halt-means', { text: 'No trigger starts a run' });
      await d.fill('halt-reason', 'Payments are down');
      await look('halt');
      await d.click('halt-do');
      await d.waitFor('halted-litmus', { text: 'Payments are down' });
      await look('halted');
      await d.click('nav-overview');
      await d.waitFor('halt-strip', { text: 'Payments are down' });
      await look('halted-elsewhere');
      await d.click('nav-triggers');
      await d.click('halt-resume-litmus');
      await d.click('resume-do');
      await d.waitFor('halt-strip', { gone: true });

      // For clusters that run Litmus' own tracker, and back.
      await d.click('trigger-new');
      await d.click('trigger-workload');
      await d.type('cart');
      await d.click(`trigger-workload-${PLACE}/cart`);
      await d.waitFor('trigger-matches', { text: 'cart' });
      await pick('trigger-workflow', 'shop/cart-pod-delete');
      await d.fill('trigger-name', 'cart-policy');
      // The form settles first: a click on what still moves goes astray on a busy machine.
      await d.waitFor('trigger-says', { text: 'cart-pod-delete', timeout: 60_000 });
      const policy = (timeout) => d.waitFor('litmus-policy', { text: 'EventTrackerPolicy', timeout });
      await d.click('trigger-for-litmus');
      await policy(10_000).catch(async () => {
        await d.click('trigger-for-litmus');
        await policy(60_000);
      });
      await d.fill('litmus-namespace', 'litmus');
      await d.fill('litmus-experiment', 'exp-1');
      await d.click('litmus-annotate');
      await d.waitFor('litmus-policy', { text: 'namespace: litmus' });
      await d.waitFor('trigger-guards', { text: 'Litmus’ tracker' });
      await look('editor-litmus');
      await show('litmus-policy');
      await look('editor-litmus-policy');
      await d.click('trigger-save');
      await d.waitFor('litmus-write', { text: 'without any guard' });
      await d.click('litmus-write-do');
      await d.waitFor('litmus-policies', { text: 'cart-policy' });
      await d.click('litmus-import-cart-policy');
      await d.waitFor('litmus-becomes', { text: 'exp-1' });
      await pick('litmus-experiment-exp-1', 'shop/cart-pod-delete');
      await d.waitFor('litmus-editor-cart-policy');
      await look('litmus-import');
      await d.click('litmus-editor-cart-policy');
      await d.waitFor('trigger-says', { text: 'litmuschaos.io/gitops=true' });
      await d.waitFor('trigger-yaml', { text: 'litmuschaos.io/experimentId: exp-1' });
      await look('editor-imported');
      // A change over a colleague's change is refused, which the browser notes as a failed request.
      const noise = d.problems.filter((problem) => !problem.startsWith('Failed to load resource'));
      assert.deepEqual(noise, [], 'the pages log no error');
    },
  });
  assert.deepEqual([...new Set(findings)], []);
});
