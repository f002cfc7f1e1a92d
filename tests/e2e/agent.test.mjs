// The agent's life in the real window, on a real API server and Git over SSH: installed with its credential, in charge
// while the app is closed and when it is opened again, one release tested once, paused, removed with nothing left. With
// PILOTHOUSE_AGENT_DRIVER=chromium the same in Chromium.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { steps } from './journey.mjs';
import { play } from './play.mjs';

const APP = 'cart';
const PROJECT = 'shop';
const PLACE = 'pilothouse';
const LONG = 180_000;

/** Asks the API server as somebody with kubectl would; none when there is no such thing. */
function ask(stage, path) {
  const { clusters: [{ cluster }], users: [{ user }] } = JSON.parse(readFileSync(stage.kubeconfig, 'utf8'));
  const options = {
    ca: readFileSync(cluster['certificate-authority']),
    cert: readFileSync(user['client-certificate']),
    key: readFileSync(user['client-key']),
  };
  return new Promise((resolve, reject) => {
    const asked = request(new URL(path, cluster.server), options, (answer) => {
      let all = '';
      answer.on('data', (part) => (all += part));
      answer.on('end', () => {
        if (answer.statusCode < 300) resolve(JSON.parse(all));
        else if (answer.statusCode === 404) resolve(undefined);
        else reject(new Error(all));
      });
    });
    asked.on('error', reject);
    asked.end();
  });
}

async function until(what, look) {
  const end = Date.now() + LONG;
  while (Date.now() < end) {
    if (await look()) return;
    await sleep(200);
  }
  throw new Error(`${what} did not come`);
}

const holder = async (stage, namespace, lease) =>
  (await ask(stage, `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${lease}`))?.spec?.holderIdentity ?? '';

test('the agent is installed, works while the window is closed, and goes without a trace', async () => {
  const findings = [];
  await play({
    driver: process.env.PILOTHOUSE_AGENT_DRIVER ?? 'window',
    on: 'ssh',
    upTo: 'trigger-made',
    after: async (first, stage, reopen) => {
      let d = first;
      const look = async (name) => {
        await d.screenshot(name);
        findings.push(...(await d.accessibility()).map((finding) => `${name}: ${finding}`));
        await d.run((theme) => { document.documentElement.dataset.theme = theme; }, 'dark');
        await d.screenshot(`${name}-dark`);
        findings.push(...(await d.accessibility()).map((finding) => `${name}, dark: ${finding}`));
        await d.run((theme) => { document.documentElement.dataset.theme = theme; }, 'light');
      };
      assert.ok(stage.agentImages, 'pilothouse-agent is built');

      await d.click('nav-triggers');
      await d.click('agent-open');
      await d.waitFor('agent-absent');
      await d.waitFor('charges', { text: PROJECT });
      await look('agent-absent');
      await d.click('agent-install');
      await d.fill('agent-image', stage.agentImages[0]);
      await d.waitFor('agent-objects', { text: 'Deployment' });
      await d.waitFor('agent-rights', { text: 'to hold those Leases' });
      await look('agent-plan');
      await d.click('agent-go', { timeout: 60_000 });
      await d.waitFor('agent-without', { text: PROJECT });
      const [give] = await d.ids('give-');
      const namespace = give.slice('give-'.length).split('/')[0];
      await d.click(give);
      await d.waitFor('agent-without', { gone: true });
      await look('agent-dialog');
      await d.click('agent-dialog-do');
      await d.waitFor('agent-state', { text: 'Running', timeout: LONG });
      await d.waitFor('agent-facts', { text: '2 of 2 ready' });
      await look('agent-running');

      // The app is closed: the agent takes over. It is opened again: it only watches.
      d = await reopen(async () => {
        for (const lease of ['pilothouse-triggers', `pilothouse-sync-${PROJECT}`])
          await until('the agent in charge', async () => (await holder(stage, namespace, lease)).startsWith('pilothouse-agent-'));
      });
      await steps['first-screen'](d, stage);
      await steps.connected(d, stage);
      await steps['new-release'](d, stage, stage.shared);
      await steps['trigger-fired'](d, stage);
      await steps['verdict-beside-environment'](d, stage);
      await d.click('nav-triggers');
      await d.waitFor('trigger-charge', { text: 'pilothouse-agent-' });
      assert.equal((await d.ids('decision-run')).length, 1, 'one release, one run');
      const runs = await ask(stage, `/apis/argoproj.io/v1alpha1/namespaces/${namespace}/workflows`);
      assert.equal(runs.items.length, 2, 'the run by hand and the triggered one');
      await d.click('agent-open');
      await d.waitFor('charges', { text: 'pilothouse-agent-' });
      await look('agent-in-charge');

      await d.click('agent-pause');
      await d.click('agent-pausing-do');
      await d.waitFor('agent-state', { text: 'Paused', timeout: LONG });
      await look('agent-paused');
      await d.click('agent-more');
      await d.click('agent-more-remove');
      await d.waitFor('removal-goes', { text: 'Deployment pilothouse-agent' });
      await d.waitFor('removal-stays', { text: '1 chaos project' });
      await look('agent-removal');
      await d.click('removal-do');
      await d.waitFor('agent-absent', { timeout: LONG });
      assert.equal(await ask(stage, `/api/v1/namespaces/${PLACE}`), undefined, 'its namespace is gone');
      const labels = encodeURIComponent('app.kubernetes.io/name=pilothouse-agent');
      for (const path of ['apps/v1/deployments', 'rbac.authorization.k8s.io/v1/roles', 'rbac.authorization.k8s.io/v1/rolebindings'])
        assert.deepEqual((await ask(stage, `/apis/${path}?labelSelector=${labels}`)).items, []);
      for (const path of ['secrets', 'configmaps', 'serviceaccounts', 'pods'])
        assert.deepEqual((await ask(stage, `/api/v1/${path}?labelSelector=${labels}`)).items, []);
      // What it looked after is there as before.
      await d.click('nav-environments');
      await d.click('open-storefront-dev');
      await d.waitFor(`verdict-${APP}`, { text: 'Pass', timeout: 60_000 });
      const noise = (d.problems ?? []).filter((problem) => !problem.startsWith('Failed to load resource'));
      assert.deepEqual(noise, [], 'the pages log no error');
    },
  });
  assert.deepEqual([...new Set(findings)], []);
});
