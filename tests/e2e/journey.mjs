// The main job, step by step, as a person does it. The driver is a real window or Chromium; the stage is the practice
// cluster or a real API server with a real Git server.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const OWNER = 'acme';
const REPOSITORY = 'krci-gitops';
const FLOW = 'storefront';
const ENV = 'dev';
const APP = 'cart';
const PROJECT = 'shop';
/** A rollout, a run: minutes on a slow machine. */
const LONG = 180_000;

/**
 * @param d the driver
 * @param stage { practice, context, transport, repositories, token, account, privateKey, folder }
 * @param look called after each step with its name
 * @param upTo the name of the last step; all of them when it is not given
 */
export async function mainJob(d, stage, look, upTo) {
  const shared = { stage };
  for (const [name, walk] of STEPS) {
    const started = Date.now();
    await walk(d, stage, shared);
    await look(name, Date.now() - started);
    if (name === upTo) break;
  }
  return shared;
}

const STEPS = [
  ['first-screen', firstScreen],
  ['connected', connect],
  ['identity', identity],
  ['repository-review', repositoryWizard],
  ['repository-card', repositoryCard],
  ['values-edited', editValues],
  ['values-review', reviewValues],
  ['values-committed', commitValues],
  ['deploy-plan', planDeploy],
  ['deployed', deployed],
  ['chaos-enabled', enableChaos],
  ['workflow-document', newWorkflow],
  ['workflow-committed', commitWorkflow],
  ['pushed-by-someone-else', someoneElsePushes],
  ['run-preview', previewRun],
  ['verdict', verdict],
  ['trigger-made', makeTrigger],
  ['new-release', newRelease],
  ['trigger-fired', triggerFired],
  ['verdict-beside-environment', verdictBesideEnvironment],
  ['activity', activity],
];

/** The steps by their names, for journeys that go another way. */
export const steps = Object.fromEntries(STEPS);

async function firstScreen(d, stage) {
  await d.waitFor('connect-practice');
  if (!stage.practice) await d.waitFor(`connect-${stage.context}`);
}

async function connect(d, stage) {
  await d.click(stage.practice ? 'connect-practice' : `connect-${stage.context}`);
  await d.waitFor('nav-repository', { timeout: 60_000 });
}

async function identity(d) {
  await d.click('nav-settings');
  await d.fill('identity-name', 'Robin Doe');
  await d.fill('identity-email', 'robin@example.com');
  await d.click('identity-save');
  await d.waitFor('toast');
}

async function repositoryWizard(d, stage) {
  await d.click('nav-repository');
  await d.click('repository-new');
  await d.waitFor('git-server');
  await d.click('wizard-next');
  await d.fill('repository-owner', OWNER);
  await d.click('wizard-next');
  await d.waitFor('credential-kind');
  if (stage.practice) {
    await d.click('credential-kind-none');
  } else if (stage.transport === 'https') {
    await d.click('credential-kind-token');
    await d.fill('credential-token', stage.token);
    await d.fill('credential-username', stage.account);
  } else if (stage.pick) {
    const key = join(stage.folder, 'picked key');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'picked', '-f', key]);
    stage.privateKey = key;
    await authorize(stage, readFileSync(`${key}.pub`, 'utf8').trim());
    await d.click('credential-kind-ssh');
    await d.click('credential-key-keyFile');
    await d.click('credential-file');
    await stage.pick('Choose a private key', key);
    await d.waitFor('credential-path', { text: key });
  } else {
    await d.click('credential-kind-ssh');
    await d.click('credential-key-generated');
    await d.click('credential-generate');
    await d.waitFor('credential-public-key');
    await authorize(stage, (await d.text('credential-public-key')).match(/ssh-ed25519 \S+/)[0]);
  }
  await d.click('wizard-next');
  if (stage.transport === 'ssh') {
    await d.waitFor('host-key-fingerprint', { text: /SHA256:/ });
    await d.click('host-key-accept');
  }
  await d.waitFor('repository-yaml', { text: 'systemType: gitops', timeout: 60_000 });
  assert.match(await d.text('repository-yaml'), /private: true/);
}

async function repositoryCard(d) {
  await d.click('wizard-save');
  await d.waitFor('clone-ready', { timeout: LONG });
}

async function editValues(d) {
  await d.click('nav-environments');
  await d.click(`open-${FLOW}-${ENV}`);
  await d.click(`values-${APP}`);
  await d.click('values-create');
  await d.waitFor('values-editor', { text: 'replicaCount' });
  await typeAtEnd(d, 'values-editor', 'replicaCount: 2');
}

async function reviewValues(d) {
  await d.click('values-review');
  await d.waitFor('values-diff', { text: 'replicaCount: 2' });
}

async function commitValues(d, stage) {
  await d.click('values-commit');
  await d.waitFor('values-committed', { timeout: LONG });
  assert.match(show(stage, `${FLOW}/${ENV}/${APP}-values.yaml`), /^replicaCount: 2$/m);
  assert.match(git(stage, 'log', '-1', '--format=%an <%ae>', 'main'), /Robin Doe <robin@example.com>/);
}

async function planDeploy(d, stage, shared) {
  await openEnvironment(d);
  await d.click('deploy-open');
  shared.tags = await tagsOf(d);
  assert.ok(shared.tags.length > 1, 'at least two tags to choose from');
  // Not the newest, so that there is a newer one to release later.
  await chooseTag(d, shared.tags[1]);
  await switchOn(d, `deploy-override-${APP}`);
  await d.waitFor('deploy-yaml', { text: `deploy-${FLOW}-${ENV}-` });
}

async function deployed(d, stage, shared) {
  await d.click('deploy-start');
  await d.waitFor(`version-${APP}`, { text: shared.tags[1], timeout: LONG });
  await d.waitFor(`health-${APP}`, { text: 'Healthy', timeout: LONG });
  await d.waitFor(`sync-${APP}`, { text: 'Synced', timeout: LONG });
  await d.waitFor(`override-${APP}`, { text: 'On' });
}

async function enableChaos(d, stage) {
  await d.click('nav-chaos');
  await d.waitFor('chaos-enable');
  if (!stage.practice) {
    // A cluster that never saw Pilothouse: its kinds are installed with one click.
    await d.click('kinds-install');
    await d.waitFor('kinds-missing', { gone: true });
  }
  await d.click('chaos-enable');
  await d.fill('enable-id', PROJECT);
  await d.click('enable-test');
  await d.waitFor('remote-ok', { timeout: 60_000 });
  await d.click('enable-submit');
  await d.waitFor('workflow-new', { timeout: LONG });
}

async function newWorkflow(d) {
  await d.click('workflow-new');
  await choose(d, 'new-target', APP, `new-target-Deployment/krci-${FLOW}-${ENV}/${APP}`);
  await d.click('new-fault-pod-delete');
  await d.click('wizard-next');
  await d.waitFor('form-name');
  await d.waitFor('form-probe-ready-replicas');
  await d.click('new-view-yaml');
  await d.waitFor('workflow-editor', { text: 'kind: Workflow' });
  await d.click('wizard-next');
  await d.waitFor('dry-verdict', { text: 'would take all of it', timeout: LONG });
  await d.waitFor('workflow-editor', { text: 'kind: Workflow' });
}

async function commitWorkflow(d, stage) {
  await d.click('wizard-save');
  await d.waitFor('workflow-diff', { text: 'kind: Workflow' });
  await d.click('workflow-commit');
  await d.waitFor('workflow-run', { timeout: LONG });
  assert.match(show(stage, `litmus/${PROJECT}/${APP}-pod-delete.yaml`), /kind: Workflow/);
}

async function someoneElsePushes(d, stage) {
  const theirs = show(stage, `litmus/${PROJECT}/${APP}-pod-delete.yaml`).replaceAll(`${APP}-pod-delete`, `${APP}-second`);
  pushAs('Sam Poe', stage, `litmus/${PROJECT}/${APP}-second.yaml`, theirs);
  await d.click('nav-chaos');
  await d.click(`project-${PROJECT}`);
  await d.click('project-sync');
  await d.waitFor(`workflow-${APP}-second`, { timeout: LONG });
  await d.waitFor(`workflow-state-${APP}-second`, { text: 'In sync', timeout: LONG });
}

async function previewRun(d) {
  await d.click(`workflow-${APP}-pod-delete`);
  await d.click('workflow-run');
  await d.waitFor('run-targets', { text: APP });
}

async function verdict(d) {
  await d.click('run-start');
  await d.waitFor('run-verdict', { text: 'Pass', timeout: LONG });
  await d.waitFor('run-score', { text: '100' });
}

async function makeTrigger(d) {
  await d.click('nav-triggers');
  await d.click('trigger-new');
  await choose(d, 'trigger-workload', APP, `trigger-workload-krci-${FLOW}-${ENV}/${APP}`);
  await d.click('trigger-workflow');
  await d.click(`trigger-workflow-${PROJECT}/${APP}-pod-delete`);
  await d.waitFor('trigger-matches', { text: APP });
  await d.waitFor('trigger-yaml', { text: 'kind: EventTrigger' });
  await d.click('trigger-save');
  await d.waitFor(`trigger-test-${APP}`, { timeout: 60_000 });
}

async function newRelease(d, stage, shared) {
  await openEnvironment(d);
  await d.click('deploy-open');
  await d.waitFor('deploy-choices');
  await chooseTag(d, shared.tags[0]);
  await d.waitFor('deploy-yaml', { text: shared.tags[0] });
  await d.click('deploy-start');
  await d.waitFor(`version-${APP}`, { text: shared.tags[0], timeout: LONG });
  await d.waitFor(`health-${APP}`, { text: 'Healthy', timeout: LONG });
}

async function triggerFired(d) {
  await d.click('nav-triggers');
  await d.waitFor('decision-verdict', { text: 'Pass', timeout: LONG });
  assert.equal((await d.ids('decision-run')).length, 1, 'one release, one run');
}

async function verdictBesideEnvironment(d) {
  await openEnvironment(d);
  await d.waitFor(`verdict-${APP}`, { text: 'Pass', timeout: 60_000 });
}

async function activity(d) {
  await d.click('nav-activity');
  await d.waitFor('activity-entry');
  const words = await d.text('activity-list');
  for (const kind of [REPOSITORY, `values of ${APP} in ${FLOW}/${ENV}`, `Deploy ${FLOW} to ${ENV}`, `${APP}-pod-delete`, `trigger test-${APP}`])
    assert.ok(words.includes(kind), `the timeline does not speak of ${kind}:\n${words}`);
}

// -- gestures -------------------------------------------------------------------------------------------------------

async function openEnvironment(d) {
  await d.click('nav-environments');
  await d.click(`open-${FLOW}-${ENV}`);
  await d.waitFor('applications');
}

/** Finds an entry of a combobox by typing. */
async function choose(d, box, typed, option) {
  await d.click(box);
  await d.type(typed);
  await d.click(option);
}

async function tagsOf(d) {
  await d.click(`deploy-tag-${APP}`);
  await d.waitFor('deploy-choices');
  for (let i = 0; i < 40; i++) {
    const ids = await d.ids(`deploy-tag-${APP}-`);
    if (ids.length) {
      await d.type('Escape');
      return ids.map((id) => id.slice(`deploy-tag-${APP}-`.length));
    }
    await sleep(100);
  }
  return [];
}

async function chooseTag(d, tag) {
  await d.click(`deploy-tag-${APP}`);
  await d.click(`deploy-tag-${APP}-${tag}`);
}

async function switchOn(d, id) {
  const state = () => d.run((one) => document.querySelector(`[data-testid="${one}"]`).getAttribute('aria-checked'), id);
  await d.waitFor(id);
  if ((await state()) !== 'true') await d.click(id);
  assert.equal(await state(), 'true', `${id} is on`);
}

export async function typeAtEnd(d, editor, text) {
  await d.click(editor);
  await d.run((id) => document.querySelector(`[data-testid="${id}"] .cm-content`).focus(), editor);
  await d.type(['Control', 'End']);
  await d.type('Enter');
  await d.type(text);
}

/** Lets a key in as the people who run the Git server would. */
async function authorize(stage, publicKey) {
  const wanted = join(stage.folder, 'authorize.pub');
  writeFileSync(`${wanted}.part`, `${publicKey}\n`);
  renameSync(`${wanted}.part`, wanted);
  for (let i = 0; i < 100 && existsSync(wanted); i++) await sleep(50);
}

// -- the remote, with plain git -------------------------------------------------------------------------------------

function git(stage, ...args) {
  return execFileSync('git', ['-C', join(stage.repositories, OWNER, `${REPOSITORY}.git`), ...args], { encoding: 'utf8' });
}

export function show(stage, path) {
  return git(stage, 'show', `main:${path}`);
}

export function pushAs(name, stage, path, text) {
  const work = mkdtempSync(join(tmpdir(), 'pilothouse-someone-'));
  const run = (...args) => execFileSync('git', ['-C', work, '-c', `user.name=${name}`, '-c', 'user.email=sam@example.com', ...args], { stdio: 'pipe' });
  execFileSync('git', ['clone', '-q', join(stage.repositories, OWNER, `${stage.name ?? REPOSITORY}.git`), work], { stdio: 'pipe' });
  writeFileSync(join(work, path), text);
  run('add', '.');
  run('commit', '-q', '-m', `Add ${path}`);
  run('push', '-q', 'origin', 'HEAD:main');
  rmSync(work, { recursive: true });
}

/** Every text that must never be found in what the app leaves behind. */
export function secretsOf(stage) {
  const key = stage.privateKey ? readFileSync(stage.privateKey, 'utf8').split('\n').slice(1, 3).join('') : '';
  return [stage.token, key].filter(Boolean);
}
