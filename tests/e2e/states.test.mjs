// The states of the GitOps repository, in Chromium on a real API server and Git over HTTPS: what the page says of each, and
// its way out.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { play } from './play.mjs';

test('each state of the repository is told, with its way out', async () => {
  const findings = [];
  await play({
    driver: 'chromium',
    on: 'https',
    upTo: 'repository-card',
    after: async (d, stage) => {
      /** As it is seen; where the page holds most, also in the dark and on a large screen. */
      const look = async (name, everywhere = false) => {
        await d.screenshot(name);
        findings.push(...(await d.accessibility()).map((finding) => `${name}: ${finding}`));
        if (!everywhere) return;
        await d.page.emulateMedia({ colorScheme: 'dark' });
        await d.screenshot(`${name}-dark`);
        findings.push(...(await d.accessibility()).map((finding) => `${name}, dark: ${finding}`));
        await d.page.emulateMedia({ colorScheme: 'light' });
        await d.page.setViewportSize({ width: 1920, height: 1080 });
        await d.screenshot(`${name}-large`);
        await d.page.setViewportSize({ width: 1280, height: 800 });
      };
      const server = join(stage.repositories, 'acme/krci-gitops.git');
      const git = (...args) => execFileSync('git', ['-C', server, '-c', 'user.name=Sam Poe', '-c', 'user.email=sam@example.com', ...args], { encoding: 'utf8', stdio: ['pipe', 'pipe', 'ignore'] }).trim();
      const ask = (command, args) => d.run((c, a) => window.__TAURI_INTERNALS__.invoke(c, a), command, args);
      /** Somebody else adds a file to a branch. */
      const add = (branch, path, text) => {
        const blob = execFileSync('git', ['-C', server, 'hash-object', '-w', '--stdin'], { input: text, encoding: 'utf8' }).trim();
        const index = join(stage.folder, 'index');
        const env = { ...process.env, GIT_INDEX_FILE: index };
        const plumb = (...args) => execFileSync('git', ['-C', server, ...args], { env, encoding: 'utf8' }).trim();
        plumb('read-tree', branch);
        plumb('update-index', '--add', '--cacheinfo', `100644,${blob},${path}`);
        const commit = git('commit-tree', plumb('write-tree'), '-p', branch, '-m', `Add ${path}`);
        git('update-ref', `refs/heads/${branch}`, commit);
      };
      const fetch = () => ask('clone_repository', { operation: `look-${Math.random()}` }).catch(() => {});
      const told = async (state) => {
        await fetch();
        await d.waitFor(`standing-${state}`, { timeout: 60_000 });
      };

      // Rewritten: what is gone is listed, looked at, and made again.
      const first = git('rev-parse', 'main');
      add('main', 'storefront/dev/cart-values.yaml', 'replicaCount: 2\nimage:\n  pullPolicy: Always\n');
      add('main', 'storefront/dev/checkout-values.yaml', 'replicaCount: 3\n');
      await fetch();
      git('update-ref', 'refs/heads/main', first);
      await told('rewritten');
      await d.waitFor('rescued', { text: 'checkout-values.yaml' });
      await look('rewritten');
      await d.click('rescued-show');
      await d.waitFor('rescued-change', { text: 'replicaCount: 3' });
      await look('rescued-change');
      await d.page.keyboard.press('Escape');
      await d.waitFor('rescued-change', { gone: true });
      await d.click('rescued-apply');
      await d.waitFor('toast', { text: 'Applied again', timeout: 60_000 });
      assert.match(git('show', 'main:storefront/dev/checkout-values.yaml'), /replicaCount: 3/);

      // Archived: seen at the next push, over as soon as one arrives.
      const refusal = join(server, 'refused-by-server');
      writeFileSync(refusal, 'This repository was archived so it is read-only.\n');
      await d.page.getByTestId('rescued-apply').last().click();
      await d.waitFor('standing-readOnly', { text: 'archived so it is read-only', timeout: 60_000 });
      await look('archived', true);
      rmSync(refusal);
      await d.page.getByTestId('rescued-apply').last().click();
      await d.waitFor('standing-readOnly', { gone: true, timeout: 60_000 });
      assert.match(git('show', 'main:storefront/dev/cart-values.yaml'), /pullPolicy: Always/);
      if (await d.exists('rescued-forget')) {
        await d.click('rescued-forget');
        await d.waitFor('rescued-forget-confirm');
        await look('let-go');
        await d.click('rescued-forget-confirm-do');
        await d.waitFor('rescued', { gone: true });
      }

      git('branch', 'next', 'main');
      git('symbolic-ref', 'HEAD', 'refs/heads/next');
      await told('defaultBranchChanged');
      await look('default-branch-changed');
      await d.click('standing-use');
      await d.waitFor('standing-defaultBranchChanged', { gone: true });

      git('branch', '-m', 'next', 'trunk');
      git('symbolic-ref', 'HEAD', 'refs/heads/trunk');
      await told('branchRenamed');
      await look('branch-renamed');
      await d.click('standing-dismiss');
      await d.waitFor('standing-branchRenamed', { gone: true });

      add('trunk', 'storefront/dev/payment-values.yaml', 'replicaCount: 4\n');
      await fetch();
      git('symbolic-ref', 'HEAD', 'refs/heads/main');
      git('update-ref', '-d', 'refs/heads/trunk');
      await told('branchDeleted');
      await d.waitFor('rescued', { text: 'payment-values.yaml' });
      await look('branch-deleted');
      await d.click('standing-dismiss');
      await d.waitFor('standing-branchDeleted', { gone: true });

      git('branch', 'spare', first);
      git('symbolic-ref', 'HEAD', 'refs/heads/nowhere');
      await told('noDefaultBranch');
      await look('no-default-branch');

      git('update-ref', '-d', 'refs/heads/main');
      await told('branchDeleted');
      await look('branch-deleted-no-default');
      await d.click('standing-use');
      await d.waitFor('standing-branchDeleted', { gone: true, timeout: 60_000 });

      git('update-ref', '-d', 'refs/heads/spare');
      await told('empty');
      await look('empty');

      // What waits, in each of its states.
      const wish = join(stage.folder, 'unplugged');
      writeFileSync(wish, '');
      const change = (app, text, message) => ({ request: { flow: 'storefront', env: 'dev', app, text, baseBlob: null, message } });
      await ask('keep_values', change('cart', 'replicaCount: 5\n', 'Raise the cart to five'));
      await ask('keep_values', change('checkout', 'replicaCount: 6\n', 'Raise the checkout to six, for the sale that starts on Friday and ends when the last coupon is used'));
      await ask('keep_values', change('payment', 'replicaCount: 7\n', 'Put away'));
      const { entries } = await ask('waiting_commits', {});
      await ask('discard_waiting', { id: entries.at(-1).id });
      await d.waitFor('unpushed', { text: 'for the sale' });
      await d.run(() => document.querySelector('[data-testid="unpushed"]').scrollIntoView());
      await look('waiting', true);

      rmSync(server, { recursive: true });
      execFileSync('git', ['init', '-q', '--bare', '--object-format=sha256', '--template=', '--initial-branch=main', server]);
      git('config', 'http.receivepack', 'true');
      const sha256 = git('commit-tree', git('mktree', '--missing'), '-m', 'First');
      git('update-ref', 'refs/heads/main', sha256);
      if (existsSync(wish)) rmSync(wish);
      await told('sha256');
      await look('sha256');
      const noise = d.problems.filter((problem) => !problem.startsWith('Failed to load resource'));
      assert.deepEqual(noise, [], 'the pages log no error');
    },
  });
  assert.deepEqual([...new Set(findings)], []);
});
