// The values editor in Chromium on the practice cluster: completion and hints, fields, history and the way back,
// environments beside each other, and what one takes from another.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { play } from './play.mjs';

/** A colleague pushes one file, a commit for each of its texts. */
function push(repositories, path, ...texts) {
  const work = mkdtempSync(join(tmpdir(), 'pilothouse-someone-'));
  const run = (...args) => execFileSync('git', ['-C', work, '-c', 'user.name=Sam', '-c', 'user.email=sam@example.com', ...args], { stdio: 'pipe' });
  execFileSync('git', ['clone', '-q', '-b', 'main', join(repositories, 'acme/krci-gitops.git'), work], { stdio: 'pipe' });
  for (const [i, text] of texts.entries()) {
    writeFileSync(join(work, path), text);
    run('add', '.');
    run('commit', '-qm', texts.length === 1 ? 'Change the values' : `Change the values (${i + 1})`);
  }
  run('push', '-q', 'origin', 'HEAD:main');
  rmSync(work, { recursive: true });
}

/** 4,500 values below 450 keys. */
function many() {
  let text = '';
  for (let section = 0; section < 450; section++) {
    text += `section-${section}:\n`;
    for (let key = 0; key < 10; key++) text += `  key-${key}: ${section * key}\n`;
  }
  return text;
}

const LONG = 120_000;

test('values are written, taken back, compared and promoted', async () => {
  const findings = [];
  await play({
    driver: 'chromium',
    on: 'practice',
    upTo: 'repository-card',
    after: async (d, stage) => {
      const { page } = d;
      const look = async (name) => {
        await d.screenshot(name);
        findings.push(...(await d.accessibility()).map((finding) => `${name}: ${finding}`));
      };
      const everyLook = async (name) => {
        await look(name);
        await page.emulateMedia({ colorScheme: 'dark' });
        await look(`${name}-dark`);
        await page.emulateMedia({ colorScheme: 'light' });
        await page.setViewportSize({ width: 1920, height: 1080 });
        await look(`${name}-wide`);
        await page.setViewportSize({ width: 1280, height: 800 });
      };
      const git = (...args) => execFileSync('git', ['-C', join(stage.repositories, 'acme/krci-gitops.git'), ...args], { encoding: 'utf8' });
      const committed = (env) => git('show', `main:storefront/${env}/cart-values.yaml`);
      const editor = page.locator('[data-testid="values-editor"] .cm-content');
      const text = () => editor.evaluate((e) => [...e.querySelectorAll('.cm-line')].map((line) => line.textContent).join('\n'));
      /** Takes the offer; the editor ignores Enter for a moment, so that nobody takes one that has only just appeared. */
      const take = async (offer) => {
        await page.locator('.cm-tooltip-autocomplete li[aria-selected]', { hasText: offer }).waitFor();
        await page.waitForTimeout(150);
        await page.keyboard.press('Enter');
      };
      const commit = async () => {
        await d.click('values-review');
        await d.waitFor('values-diff');
        await d.click('values-commit');
        await d.waitFor('values-committed', { timeout: LONG });
      };

      await d.click('nav-environments');
      await d.click('open-storefront-dev');
      await d.click('values-cart');
      await d.waitFor('values-empty');
      await everyLook('values-none');
      await d.click('values-create-from');
      await d.click('values-create-from-qa');
      await d.waitFor('toast', { text: 'no values file either' });
      await d.click('values-create-empty');

      // Completion while typing, by the keyboard alone, with what it is for beside it.
      await editor.focus();
      await page.keyboard.type('repl');
      await page.locator('.cm-tooltip-autocomplete', { hasText: 'replicaCount' }).waitFor();
      await page.locator('.cm-completionInfo', { hasText: 'How many' }).waitFor();
      await everyLook('completion');
      await take('replicaCount');
      await page.keyboard.type('2\nserv');
      await take('service');
      await page.keyboard.type('ty');
      await take('type');
      await page.locator('.cm-tooltip-autocomplete', { hasText: 'LoadBalancer' }).waitFor();
      await page.keyboard.type('No');
      await take('NodePort');
      assert.equal(await text(), 'replicaCount: 2\nservice:\n  type: NodePort');

      // A hint by pointer and by keyboard.
      await page.locator('.cm-line', { hasText: 'replicaCount' }).first().hover({ position: { x: 40, y: 8 } });
      await d.waitFor('editor-hint', { text: 'replicaCount' });
      await look('hint');
      await page.mouse.move(5, 5);
      await d.waitFor('editor-hint', { gone: true });
      await page.keyboard.press('Control+Shift+Space');
      await d.waitFor('editor-hint', { text: 'service.type' });
      await page.keyboard.press('Escape');
      await d.waitFor('editor-hint', { gone: true });

      // A wrong value is marked where it stands, behind a character that is two UTF-16 units wide.
      await page.keyboard.press('Control+End');
      await page.keyboard.type('\nextra: {"😀": 1, replicas: *x}');
      await page.locator('.cm-lintRange').first().waitFor();
      await look('diagnostics');
      for (let i = 0; i < 40 && (await text()).includes('extra'); i++) await page.keyboard.press('Control+z');
      assert.equal(await text(), 'replicaCount: 2\nservice:\n  type: NodePort');

      // The same text by clicking.
      await d.click('values-file-fields');
      await d.waitFor('field-service.port');
      await d.fill('field-input-replicaCount', '3');
      await d.type('Enter');
      await d.waitFor('field-replicaCount', { text: 'Default: 1' });
      await d.fill('field-input-service.port', 'many');
      await d.waitFor('field-service.port', { text: 'not a number' });
      await everyLook('fields');
      // What the chart's schema refuses stands beside the value, and keeps it from being committed.
      await d.fill('field-input-service.port', '70000');
      await d.type('Enter');
      await d.waitFor('field-problems-service.port', { text: '65535' });
      assert.equal(await page.getByTestId('values-review').getAttribute('aria-disabled'), 'true');
      await everyLook('field-refused');
      await d.fill('field-input-service.port', '9090');
      await d.type('Enter');
      await d.waitFor('field-problems-service.port', { gone: true });
      await d.waitFor('field-reset-service.port');
      await d.click('field-reset-service.type');
      await d.waitFor('field-reset-service.type', { gone: true });
      await d.fill('fields-search', 'env value');
      await d.click('field-yaml-env[0].value');
      await d.waitFor('values-editor');
      assert.equal(await text(), 'replicaCount: 3\nservice:\n  port: 9090');
      await editor.focus();
      await page.keyboard.press('Control+z');
      await page.keyboard.press('Control+y');
      assert.equal(await text(), 'replicaCount: 3\nservice:\n  port: 9090', 'what was clicked can be undone and done again');
      for (const tab of ['defaults', 'effective', 'manifests']) {
        await d.click(`values-beside-${tab}`);
        await d.waitFor({ defaults: 'values-defaults', effective: 'values-effective', manifests: 'rendered' }[tab]);
        if (tab === 'manifests') await d.waitFor('rendered-progress', { gone: true, timeout: LONG });
        await everyLook(`beside-${tab}`);
      }
      await commit();
      assert.match(committed('dev'), /^replicaCount: 3\nservice:\n {2}port: 9090\n?$/);

      // A second version, and back to the first.
      await d.click('values-file-fields');
      await d.fill('fields-search', '');
      await d.fill('field-input-replicaCount', '5');
      await d.type('Enter');
      await d.waitFor('values-dirty');
      await commit();
      const [second, first] = git('log', '--format=%H', 'main', '--', 'storefront/dev/cart-values.yaml').trim().split('\n').map((id) => id.slice(0, 8));
      await d.click('values-beside-history');
      await d.waitFor(`history-${second}`);
      await everyLook('history');

      // Who wrote each line stands beside it, stays with it while others are written, and leads to the commit.
      await d.click('values-file-yaml');
      await d.click('values-blame');
      const beside = page.locator('.ph-line-note');
      await beside.first().waitFor();
      assert.match(await beside.first().innerText(), /^Robin Doe, /);
      assert.ok((await beside.first().getAttribute('title')).includes(second));
      await editor.focus();
      await page.keyboard.press('Control+Home');
      await d.waitFor('values-editor-note', { text: second });
      await page.keyboard.type('# ours\n');
      await d.waitFor('values-editor-note', { text: second });
      assert.equal(await beside.first().innerText(), 'Not committed');
      await page.keyboard.press('Control+End');
      await d.waitFor('values-editor-note', { text: first });
      await everyLook('blame');
      await page.getByTestId('values-editor-note').locator('button').click();
      await d.waitFor('history-version', { text: first });
      await d.click('history-back');
      for (let i = 0; i < 20 && (await text()).includes('# ours'); i++) {
        await editor.focus();
        await page.keyboard.press('Control+z');
      }
      assert.doesNotMatch(await text(), /# ours/);
      await d.click('values-blame');
      await beside.first().waitFor({ state: 'detached' });
      await d.click(`history-${first}`);
      await d.waitFor('history-going-back', { text: 'replicaCount: 3' });
      await everyLook('history-version');
      await d.click('history-restore');
      await d.waitFor('values-dirty');
      await commit();
      assert.match(committed('dev'), /^replicaCount: 3$/m);

      // Beside the other environment, and over to it: a new file first.
      await d.click('values-compare');
      await d.waitFor('compare-row-replicaCount', { text: '3' });
      assert.ok(!(await d.exists('compare-row-service.type')), 'what is the same is only counted');
      await everyLook('compare');
      await d.click('compare-from-dev');
      await d.waitFor('promote-about', { text: 'qa has no values file yet' });
      await everyLook('promote-new');
      await d.click('promote-take');
      await d.waitFor('values-diff', { text: 'replicaCount: 3', timeout: LONG });
      await look('promote-review');
      await d.click('values-commit');
      await d.waitFor('values-committed', { timeout: LONG });
      assert.match(committed('qa'), /^replicaCount: 3$/m);

      // Then each goes its own way, and only what changed at the source is chosen beforehand.
      await d.click('values-file-fields');
      await d.fill('field-input-service.port', '7070');
      await d.type('Enter');
      await d.waitFor('values-dirty');
      await commit();
      await page.goto(page.url().replace('/qa/', '/dev/'));
      await d.waitFor('values-fields');
      await d.fill('field-input-replicaCount', '4');
      await d.type('Enter');
      await d.waitFor('values-dirty');
      await commit();
      await d.click('values-compare');
      await d.click('compare-promote');
      await d.waitFor('promote-about', { text: 'Common ancestor' });
      await d.waitFor('promote-rows', { text: 'Deliberately different in qa' });
      const checked = (id) => page.locator(`[data-testid="${id}"]`).getAttribute('aria-checked');
      assert.deepEqual([await checked('promote-replicaCount'), await checked('promote-service.port')], ['true', 'false']);
      await everyLook('promote');
      const before = git('rev-list', '--count', 'main').trim();
      await d.click('promote-take');
      await d.waitFor('values-diff', { text: 'replicaCount: 4', timeout: LONG });
      await d.click('values-commit');
      await d.waitFor('values-committed', { timeout: LONG });
      assert.match(committed('qa'), /^replicaCount: 4$/m);
      assert.match(committed('qa'), /^ {2}port: 7070$/m);
      assert.equal(Number(git('rev-list', '--count', 'main')), Number(before) + 1, 'one commit');

      // Both sides changed a key since: that is said, and nobody's value is chosen beforehand.
      push(stage.repositories, 'storefront/qa/cart-values.yaml', 'replicaCount: 8\nservice:\n  port: 7070\n');
      push(stage.repositories, 'storefront/dev/cart-values.yaml', 'replicaCount: 6\nservice:\n  port: 9090\n');
      await d.click('nav-repository');
      await d.click('repository-fetch');
      await d.click('nav-environments');
      await d.click('open-storefront-dev');
      await d.click('values-cart');
      await d.waitFor('values-fields');
      await d.click('values-compare');
      await d.click('compare-promote');
      await d.waitFor('promote-conflict-replicaCount');
      assert.equal(await checked('promote-replicaCount'), 'false');
      await everyLook('promote-conflict');

      // The same line was changed by a colleague while it was edited: both versions are shown, and nothing is lost.
      await d.click('nav-environments');
      await d.click('open-storefront-dev');
      await d.click('values-cart');
      await d.click('values-file-fields');
      await d.fill('field-input-replicaCount', '7');
      await d.type('Enter');
      await d.waitFor('values-dirty');
      push(stage.repositories, 'storefront/dev/cart-values.yaml', 'replicaCount: 9\nservice:\n  port: 9090\n');
      await d.click('values-review');
      await d.waitFor('values-diff', { text: 'replicaCount: 7' });
      await d.click('values-commit');
      await d.waitFor('values-conflict', { timeout: LONG });
      await d.waitFor('values-merge', { text: 'replicaCount: 9' });
      await everyLook('values-conflict');
      await d.click('values-merge-theirs');
      await d.click('values-merge-ours');
      await d.click('values-resolve');
      await d.waitFor('values-committed', { timeout: LONG });
      assert.match(committed('dev'), /^replicaCount: 7$/m);
      assert.equal(git('log', '-2', '--format=%an', 'main').trim(), 'Robin Doe\nSam', 'on top of theirs');

      // A long history is shown a page at a time.
      push(stage.repositories, 'storefront/dev/cart-values.yaml', ...Array.from({ length: 34 }, (_, i) => `replicaCount: ${i % 20}\nservice:\n  port: 9090\n`));
      push(stage.repositories, 'storefront/dev/cart-values.yaml', 'replicaCount: 4\nservice:\n  port: 9090\n');
      await page.reload();
      await d.waitFor('values-fields');
      await d.click('values-beside-history');
      await d.waitFor('history-more');
      assert.equal(await page.locator('[data-testid="values-history"] li').count(), 30);
      await look('history-page');
      await d.click('history-more');
      await d.waitFor('history-more', { gone: true });
      await d.waitFor(`history-${first}`);

      // What runs is said in the history.
      await d.click('nav-environments');
      await d.click('open-storefront-dev');
      await d.click('deploy-open');
      await d.waitFor('deploy-choices');
      if ((await checked('deploy-override-cart')) !== 'true') await d.click('deploy-override-cart');
      await d.waitFor('deploy-yaml', { text: 'deploy-storefront-dev-' });
      await d.click('deploy-start');
      await d.click('nav-environments');
      await d.click('open-storefront-dev');
      await d.waitFor('sync-cart', { text: 'Synced', timeout: LONG });
      await d.click('values-cart');
      await d.click('values-beside-history');
      await d.waitFor('values-history', { text: 'runs now with', timeout: LONG });
      await everyLook('history-that-ran');

      for (const way of ['row', 'page']) {
        await d.click('nav-environments');
        await d.click('open-storefront-dev');
        if (way === 'row') await d.click('more-cart');
        else await page.locator('[data-testid="applications"] a', { hasText: /^cart$/ }).click();
        await d.click(way === 'row' ? 'more-cart-compare' : 'values-compare');
        await d.waitFor('compare-matrix');
      }

      // A file of another environment is where one of this may begin.
      push(stage.repositories, 'storefront/dev/checkout-values.yaml', '# of dev\nreplicaCount: 2 # two\n');
      await d.click('nav-environments');
      await d.click('open-storefront-qa');
      await d.click('values-checkout');
      await d.click('values-create-from');
      await d.click('values-create-from-dev');
      await d.click('values-file-yaml');
      await d.waitFor('values-editor', { text: 'replicaCount' });
      assert.equal((await text()).trimEnd(), '# of dev\nreplicaCount: 2 # two');
      await look('copied');
      await commit();
      assert.equal(git('show', 'main:storefront/qa/checkout-values.yaml'), '# of dev\nreplicaCount: 2 # two\n');
      await d.click('values-file-fields');

      // A chart's worth of keys: what is not looked at is not drawn.
      push(stage.repositories, 'storefront/dev/checkout-values.yaml', many());
      await d.click('nav-environments');
      await d.click('open-storefront-dev');
      await d.click('values-checkout');
      await d.waitFor('fields-more');
      // At rest nothing is asked again.
      let asked = 0;
      page.on('request', (request) => (asked += Number(request.url().includes('values_fields'))));
      await page.waitForTimeout(1000);
      assert.equal(asked, 0);
      assert.ok((await page.locator('[data-testid^="fields-group-"], [data-testid^="field-input-"]').count()) < 400);
      await d.fill('fields-search', 'section-77 key-9');
      await d.waitFor('field-section-77.key-9');
      await d.fill('field-input-section-77.key-9', '12');
      await d.type('Enter');
      await d.waitFor('values-dirty');
      assert.equal(await d.value('field-input-section-77.key-9'), '12', 'the old value does not come back while the new one is looked at');
      await d.click('values-beside-effective');
      await d.waitFor('effective-more');
      assert.equal(await page.locator('[data-testid="values-effective"] li').count(), 500);
      await look('many-fields');
      // Text that is half written cannot be read, which the bridge answers with 400; nothing else goes wrong.
      assert.deepEqual(d.problems.filter((one) => !one.includes('status of 400')), [], 'the pages log no error');
    },
  });
  assert.deepEqual([...new Set(findings)], []);
});
