// A chaos project's life in Chromium, on a real API server and Git over SSH: enabled, a colleague's workflow taken in,
// an edit that meets a colleague's, a change in the cluster that meets one in Git, a run and its verdict, switched off.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import test from 'node:test';
import { pushAs, show, typeAtEnd } from './journey.mjs';
import { play } from './play.mjs';

const PROJECT = 'shop';
const NAME = 'cart-pod-delete';
const FILE = `litmus/${PROJECT}/${NAME}.yaml`;
const LONG = 180_000;

/** Asks the API server as somebody with kubectl would. */
function ask(stage, method, path, body) {
  const { clusters: [{ cluster }], users: [{ user }] } = JSON.parse(readFileSync(stage.kubeconfig, 'utf8'));
  const url = new URL(path, cluster.server);
  const options = {
    method,
    ca: readFileSync(cluster['certificate-authority']),
    cert: readFileSync(user['client-certificate']),
    key: readFileSync(user['client-key']),
    headers: { 'content-type': 'application/merge-patch+json' },
  };
  return new Promise((resolve, reject) => {
    const asked = request(url, options, (answer) => {
      let all = '';
      answer.on('data', (part) => (all += part));
      answer.on('end', () => (answer.statusCode < 300 ? resolve(JSON.parse(all)) : reject(new Error(all))));
    });
    asked.on('error', reject);
    asked.end(body && JSON.stringify(body));
  });
}

test('a chaos project is enabled, changed on both sides, settled, run and switched off', async () => {
  const findings = [];
  await play({
    driver: 'chromium',
    on: 'ssh',
    upTo: 'pushed-by-someone-else',
    after: async (d, stage) => {
      const look = async (name) => {
        await d.screenshot(name);
        findings.push(...(await d.accessibility()).map((finding) => `${name}: ${finding}`));
      };

      // An edit meets a colleague's in the same place.
      await d.click(`workflow-${NAME}`);
      await d.waitFor('workflow-editor', { text: 'kind: Workflow' });
      await typeAtEnd(d, 'workflow-editor', '# mine');
      await d.click('workflow-review');
      await d.waitFor('workflow-diff', { text: '# mine' });
      pushAs('Sam Poe', stage, FILE, `${show(stage, FILE).trimEnd()}\n# theirs\n`);
      await d.click('workflow-commit');
      await d.waitFor('workflow-conflict', { timeout: LONG });
      await look('edits-meet');
      await d.click('workflow-merge-ours');
      await d.click('workflow-resolve');
      await d.waitFor('workflow-conflict', { gone: true, timeout: LONG });
      assert.match(show(stage, FILE), /# mine/);
      await d.waitFor('workflow-state', { text: 'In sync', timeout: LONG });

      // A change in the cluster meets one in Git.
      const all = await ask(stage, 'GET', '/apis/pilothouse.dev/v1alpha1/chaosworkflows');
      const object = all.items.find((one) => one.spec.workflow === NAME);
      const place = `/apis/pilothouse.dev/v1alpha1/namespaces/${object.metadata.namespace}/chaosworkflows/${object.metadata.name}`;
      for (let n = 1; ; n++) {
        // Over the version that was in sync: a sync that comes in between has already taken Git's change in, and then this
        // one would meet nothing.
        const { metadata: { resourceVersion } } = await ask(stage, 'GET', place);
        const body = show(stage, FILE);
        const changed = (where) => body.replace(/# (mine|from Git \d+)/, `# from ${where} ${n}`);
        pushAs('Sam Poe', stage, FILE, changed('Git'));
        const change = { metadata: { resourceVersion }, spec: { manifest: changed('the cluster') } };
        const met = await ask(stage, 'PATCH', place, change).then(() => true, (error) => {
          if (n < 5 && error.message.includes('"code":409')) return false;
          throw error;
        });
        if (met) break;
        for (let i = 0; (await ask(stage, 'GET', place)).spec.manifest.trimEnd() !== show(stage, FILE).trimEnd(); i++) {
          assert.ok(i < 900, 'the change in Git is taken in');
          await d.page.waitForTimeout(200);
        }
      }
      await d.waitFor('sides-merge', { timeout: LONG });
      await d.waitFor('workflow-state', { text: 'Conflict' });
      await look('both-sides-changed');
      await d.click('sides-merge-theirs');
      await d.click('workflow-take');
      await d.waitFor('sides-merge', { gone: true, timeout: LONG });
      await d.waitFor('workflow-state', { text: 'In sync', timeout: LONG });
      assert.match((await ask(stage, 'GET', place)).spec.manifest, /# from Git/);
      assert.doesNotMatch(show(stage, FILE), /# from the cluster/);
      await look('settled');

      await d.click('workflow-run');
      await d.waitFor('run-targets', { text: 'cart' });
      await d.click('run-start');
      await d.waitFor('run-verdict', { text: 'Pass', timeout: LONG });
      await look('verdict');

      await d.click('nav-chaos');
      await d.click(`project-${PROJECT}`);
      await d.click('project-more');
      await d.click('project-more-disable');
      await d.waitFor('disable-workflows', { text: FILE });
      await look('before-it-is-off');
      await d.click('disable-confirm');
      await d.waitFor('project-state', { text: 'Disabled', timeout: LONG });
      await d.waitFor(`workflow-state-${NAME}`, { text: 'Paused', timeout: LONG });
      await look('switched-off');
      assert.match(show(stage, FILE), /kind: Workflow/, 'files stay');
      const noise = d.problems.filter((problem) => !problem.startsWith('Failed to load resource'));
      assert.deepEqual(noise, [], 'the pages log no error');
    },
  });
  assert.deepEqual([...new Set(findings)], []);
});
