// What follows the main job: a value is written with the schema's help, committed, deployed, taken over to the next
// environment, deployed there, and taken back.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const LONG = 180_000;

export async function shipAndTakeBack(d, stage) {
  const git = (...args) => execFileSync('git', ['-C', join(stage.repositories, 'acme/krci-gitops.git'), ...args], { encoding: 'utf8' });
  const file = (env) => git('show', `main:storefront/${env}/cart-values.yaml`);
  const look = async (name) => console.log(`# ${name}: ${await d.screenshot(name)}`);
  const open = async (env) => {
    await d.click('nav-environments');
    await d.click(`open-storefront-${env}`);
    await d.waitFor('applications');
  };
  const until = async (what, ask) => {
    for (let i = 0; i < 400; i++) {
      if (await ask()) return;
      await sleep(50);
    }
    assert.fail(`${what}: never`);
  };
  const read = (selector) => d.run((css) => document.querySelector(css)?.textContent ?? '', selector);
  const attribute = (id, name) => d.run((one, key) => document.querySelector(`[data-testid="${one}"]`)?.getAttribute(key), id, name);
  const deployAndWait = async (env, name) => {
    await d.waitFor('deploy-yaml', { text: `deploy-storefront-${env}-` });
    await until('the override is on', async () => (await attribute('deploy-override-cart', 'aria-checked')) === 'true');
    await d.click('deploy-start');
    await d.waitFor('run-status', { text: 'Succeeded', timeout: LONG });
    await look(name);
    await open(env);
    await d.waitFor('sync-cart', { text: 'Synced', timeout: LONG });
    await d.waitFor('health-cart', { text: 'Healthy', timeout: LONG });
    await d.waitFor('override-cart', { text: 'On' });
  };

  await open('dev');
  const newest = await d.text('version-cart');
  await d.click('values-cart');
  await d.waitFor('values-editor', { text: 'replicaCount' });
  await d.run(() => document.querySelector('[data-testid="values-editor"] .cm-content').focus());
  await d.type(['Control', 'End']);
  await d.type('Enter');
  await d.type('serv');
  await until('the key is offered', async () => (await read('.cm-tooltip-autocomplete [aria-selected]')).includes('service'));
  await look('value-offered');
  // The editor ignores Enter for a moment, so that nobody takes an offer that has only just appeared.
  await sleep(200);
  await d.type('Enter');
  await d.type('port: ninety');
  await d.waitFor('values-editor', { text: '`service.port` must be' });
  await until('what the schema refuses cannot be committed', async () => (await attribute('values-review', 'aria-disabled')) === 'true');
  await look('value-refused');
  for (let i = 0; i < 'ninety'.length; i++) await d.type('Backspace');
  await d.type('9090');
  await until('the text is mended', async () => (await attribute('values-review', 'aria-disabled')) !== 'true');

  await d.click('values-review');
  await d.waitFor('values-diff', { text: 'port: 9090' });
  await d.click('values-commit');
  await d.waitFor('values-committed', { timeout: LONG });
  assert.match(file('dev'), /^replicaCount: 2\nservice:\n {2}port: 9090$/m);
  await open('dev');
  await d.waitFor('drift-cart');
  await look('value-not-deployed');
  await d.click('deploy-open');
  await deployAndWait('dev', 'value-deployed');
  await d.waitFor('drift-cart', { gone: true });

  await d.click('values-cart');
  await d.click('values-compare');
  await d.click('compare-from-dev');
  await d.waitFor('promote-about', { text: 'qa has no values file yet' });
  await look('value-promoted');
  await d.click('promote-take');
  await d.waitFor('values-diff', { text: 'port: 9090', timeout: LONG });
  await d.click('values-commit');
  await d.waitFor('values-committed', { timeout: LONG });
  assert.match(file('qa'), /^replicaCount: 2$/m);
  assert.match(file('qa'), /^ {2}port: 9090$/m);
  await d.click('values-deploy');
  await deployAndWait('qa', 'promoted-deployed');
  assert.equal(await d.text('version-cart'), newest, 'what passed dev is what qa gets');

  // Back to the first deploy of all: its version, and its values with one commit.
  await open('dev');
  const first = (await d.ids('rollback-')).at(-1);
  await d.click(first);
  await d.waitFor('back-diff-cart', { text: 'port: 9090', timeout: LONG });
  await look('way-back');
  await d.click('back-restore');
  await d.waitFor('back-diff-cart', { gone: true, timeout: LONG });
  assert.doesNotMatch(file('dev'), /9090/);
  assert.match(file('qa'), /9090/, 'the other environment stays');
  await deployAndWait('dev', 'taken-back');
  await until('the version of then', async () => (await d.text('version-cart')) !== newest);
  await look('environment-of-then');

  await d.click('nav-activity');
  await d.waitFor('activity-entry');
  const words = await d.text('activity-list');
  for (const told of ['Deploy storefront to qa', 'Put the values of cart in storefront/dev back', 'back to deploy-storefront-dev-'])
    assert.ok(words.includes(told), `the timeline does not speak of ${told}:\n${words}`);
}
