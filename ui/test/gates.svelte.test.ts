import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

vi.mock('../src/bindings', async () => (await import('./core')).bindings);

import { Failure, type AppError } from '../src/platform';
import EndingDialog from '../src/pages/environments/EndingDialog.svelte';
import DeployPage from '../src/pages/environments/DeployPage.svelte';
import NewApplicationPage from '../src/pages/environments/NewApplicationPage.svelte';
import ChartServer from '../src/pages/environments/ChartServer.svelte';
import RemarksPanel from '../src/pages/chaos/RemarksPanel.svelte';
import { answer, called, find, refuse, settle, show, waits, type Answer } from './core';

describe('before a deployment is taken away', () => {
  const stale: AppError = { code: 'delivery.previewStale', message: 'It is not what was shown any more.', hint: null, retry: 'needsUser', detour: null, detail: null };
  const means = (goes: string, more: object = {}) => ({ goes: [goes], stays: [], blocked: null, permission: { allowed: true, why: null }, yaml: null, uid: 'u', digest: goes, ...more });

  function open(load: () => Promise<unknown>, run: (view: unknown) => Promise<void>) {
    const props = $state({ open: true, title: 'Delete?', action: 'Delete', typeName: 'cart', load, run, testid: 'ending' });
    show(EndingDialog, props);
    return props;
  }

  it('an answer that comes after its dialog was closed is not the next one’s', async () => {
    const answers: Answer[] = [];
    const props = open(() => new Promise((resolve) => answers.push(resolve as Answer)), async () => undefined);
    await settle();
    props.open = false;
    await settle();
    props.open = true;
    await settle();
    expect(answers).toHaveLength(2);
    answers[1]!(means('the checkout'));
    await settle();
    answers[0]!(means('the cart'));
    await settle();
    expect(find('ending-goes')!.textContent).toContain('the checkout');
    expect(find('ending-goes')!.textContent).not.toContain('the cart');
  });

  it('what is refused as stale is shown anew, and what is done is what was shown', async () => {
    const answers = [means('cart 1.3'), means('cart 1.4')];
    const seen: string[] = [];
    open(
      () => Promise.resolve(answers.shift()),
      (view) => {
        seen.push((view as { digest: string }).digest);
        return seen.length === 1 ? Promise.reject(new Failure(stale)) : Promise.resolve();
      },
    );
    await settle();
    expect(find('ending-goes')!.textContent).toContain('cart 1.3');
    find('ending-do')!.click();
    await settle();
    expect(find('ending-goes')!.textContent).toContain('cart 1.4');
    expect(document.body.textContent).toContain('not what was shown any more');
    find('ending-do')!.click();
    await settle();
    expect(seen).toEqual(['cart 1.3', 'cart 1.4']);
  });

  it('is not done while something stands in the way', async () => {
    const run = vi.fn(() => Promise.resolve());
    open(() => Promise.resolve(means('cart', { blocked: 'a run is in progress' })), run);
    await settle();
    expect(find('ending-do')!.getAttribute('aria-disabled')).toBe('true');
    find('ending-do')!.click();
    expect(run).not.toHaveBeenCalled();
  });
});

describe('the way to a deploy', () => {
  const tag = { name: '1.4', digest: null, created: null, latest: true, stable: false, verified: [], deployed: [] };
  const app = {
    name: 'cart',
    version: '1.3',
    digest: null,
    imageCreated: null,
    override: { live: true, stored: null },
    valuesFile: 'absent',
    health: { status: 'Healthy', message: null },
    sync: { status: 'Synced', why: null },
    drift: null,
    tags: [tag],
    tagStream: 'cart-main',
    tagsWhy: '',
    portalLatest: null,
    notes: [],
    operation: null,
    whyNoSync: null,
    images: [],
    urls: [],
    lastVerdict: null,
  };
  const environment = (more: object = {}) => ({
    flow: 'shop', name: 'dev', order: 0, namespace: 'shop-dev', cluster: 'in-cluster', triggerType: 'Manual', deployTemplate: 'deploy', status: 'created',
    message: null, applications: [app], runs: [], busy: false, canDeploy: { allowed: true, why: null }, canSync: { allowed: true, why: null },
    canDelete: { allowed: true, why: null }, cleanTemplate: null, ...more,
  });
  const preview = (checks: object[]) => ({ yaml: 'kind: PipelineRun', digest: 'd', checks, changes: [], releases: [], switches: [] });
  const check = (ok: boolean, blocking: boolean, why: string | null) => ({ id: 'valuesFiles', label: 'The values files are there', ok, why, blocking });

  async function open(env: object): Promise<void> {
    show(DeployPage, { params: { flow: 'shop', env: 'dev' } });
    await settle();
    answer('environment', env);
    await settle();
  }
  /** The button is another one once there is nothing to say about it. */
  const button = () => find('deploy-start')!;
  const off = () => button().getAttribute('aria-disabled') === 'true';
  const reason = () => document.getElementById(button().getAttribute('aria-describedby') ?? '')?.textContent;
  const deploys = () => called.filter(([name]) => name === 'deploy');

  it('is shut while a check blocks, and says which', async () => {
    await open(environment());
    expect(off(), 'nothing is started by what is not checked').toBe(true);
    answer('previewDeploy', preview([check(false, true, 'shop/dev/cart-values.yaml is not in the repository')]));
    await settle();
    expect(off()).toBe(true);
    button().click();
    await settle();
    expect(deploys()).toEqual([]);
    expect(find('deploy-checks')!.textContent).toContain('shop/dev/cart-values.yaml is not in the repository');
    expect(reason()).toContain('shop/dev/cart-values.yaml is not in the repository');
  });

  it('opens when all passed, and what is deployed is what was shown', async () => {
    await open(environment());
    answer('previewDeploy', preview([check(true, false, null), check(false, false, 'only a note')]));
    await settle();
    expect(off()).toBe(false);
    button().click();
    await settle();
    expect(deploys()).toHaveLength(1);
    expect(deploys()[0]![1][0]).toMatchObject({ seen: 'd', choices: [{ application: 'cart', tag: '1.4', override: true }] });
  });

  it('is shut to who may not', async () => {
    await open(environment({ canDeploy: { allowed: false, why: 'Missing permission: create on pipelineruns.' } }));
    answer('previewDeploy', preview([check(true, false, null)]));
    await settle();
    expect(off()).toBe(true);
    expect(reason()).toContain('create on pipelineruns');
    button().click();
    expect(deploys()).toEqual([]);
  });
});

describe('the steps to a new application', () => {
  // The page also asks by itself once typing pauses: here no time passes, however slow the machine is.
  beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => vi.useRealTimers());
  const view = {
    repository: 'https://git.example.com/gitops.git', branch: 'main', elsewhere: [], applications: 0, namespaces: ['argocd'],
    projects: [{ name: 'default', namespace: 'argocd', description: null, sourceRepos: ['*', '*'], destinations: ['*'] }],
    clusters: [], chartUrls: [], canCreate: { allowed: true, why: null },
  };
  const preview = (problems: object[] = []) => ({ problems, yaml: '', path: 'a', file: 'absent', fileText: null, checks: [] });
  const now = () => document.querySelector('[aria-current="step"]')!.textContent;

  async function open(): Promise<void> {
    show(NewApplicationPage);
    await settle();
    answer('argoCd', view);
    await settle();
    expect(now()).toContain('Place');
  }

  it('pressing twice leaves one step, not two', async () => {
    await open();
    find('wizard-next')!.click();
    find('wizard-next')!.click();
    await settle();
    expect(waits('previewApplication')).toBe(1);
    answer('previewApplication', preview());
    await settle();
    expect(now()).toContain('Chart');
    find('wizard-next')!.click();
    await settle();
    answer('previewApplication', preview());
    await settle();
    expect(now()).toContain('Destination');
  });

  it('who went back meanwhile is not carried on by the answer', async () => {
    await open();
    find('wizard-next')!.click();
    await settle();
    answer('previewApplication', preview());
    await settle();
    find('wizard-next')!.click();
    find('wizard-back')!.click();
    await settle();
    answer('previewApplication', preview());
    await settle();
    expect(now()).toContain('Place');
  });

  it('an answer that did not come leads nowhere, whatever the one before said', async () => {
    await open();
    find('wizard-next')!.click();
    await settle();
    answer('previewApplication', preview());
    await settle();
    expect(now()).toContain('Chart');
    const error: AppError = { code: 'cluster.unreachable', message: 'The cluster does not answer.', hint: null, retry: 'now', detour: null, detail: null };
    find('wizard-next')!.click();
    await settle();
    refuse('previewApplication', error);
    await settle();
    expect(now()).toContain('Chart');
    expect(document.body.textContent).toContain('The cluster does not answer.');
    find('wizard-next')!.click();
    await settle();
    answer('previewApplication', preview());
    await settle();
    expect(now()).toContain('Destination');
  });
});

describe('a fix of a workflow’s text', () => {
  const remark = { id: 'r', line: 3, severity: 'error', onlyChaosCenter: true, code: 'c', message: 'm', fix: 'Name it' };

  async function open() {
    const mended: string[] = [];
    const props = $state({ project: 'p', name: 'w', text: 'old', onmended: (text: string) => void mended.push(text) });
    show(RemarksPanel, props);
    await settle();
    answer('workflowRemarks', [remark]);
    await settle();
    find('fix-c')!.click();
    await settle();
    return { props, mended };
  }

  it('is taken while the text is the one it was made of', async () => {
    const { mended } = await open();
    answer('mendWorkflow', 'old, mended');
    await settle();
    expect(mended).toEqual(['old, mended']);
    expect(find('remarks-overtaken')).toBeNull();
  });

  it('never takes away what was typed meanwhile', async () => {
    const { props, mended } = await open();
    props.text = 'typed since';
    await settle();
    answer('mendWorkflow', 'old, mended');
    await settle();
    expect(mended).toEqual([]);
    expect(find('remarks-overtaken')).not.toBeNull();
  });
});

describe('the login for a chart server', () => {
  const server = (name: string) => ({ server: name, place: `${name}/charts/cart`, kept: false, username: null });
  const type = (id: string, value: string) => {
    const field = find(id) as HTMLInputElement;
    field.value = value;
    field.dispatchEvent(new Event('input', { bubbles: true }));
  };
  const token = () => (find('chart-token') as HTMLInputElement).value;

  async function open() {
    const props = $state({ file: { flow: 'shop', env: 'dev', app: 'cart' } });
    show(ChartServer, props);
    await settle();
    answer('chartServer', server('one.example.com'));
    await settle();
    find('chart-login')!.click();
    await settle();
    type('chart-username', 'me');
    type('chart-token', 'for one');
    await settle();
    return props;
  }

  it('is offered to be held in memory where the keychain refuses', async () => {
    await open();
    find('chart-login-keep')!.click();
    await settle();
    const refused: AppError = { code: 'app.keychain', message: 'locked', hint: null, retry: 'needsUser', detour: null, detail: null };
    refuse('keepChartLogin', refused);
    await settle();
    expect(find('keychain-keep')).not.toBeNull();
    find('keychain-keep')!.click();
    await settle();
    answer('keepSecretsInSession', null);
    await settle();
    const sent = called.filter(([name]) => name === 'keepChartLogin').map(([, args]) => args.slice(1));
    expect(sent).toEqual(Array(2).fill(['one.example.com', { kind: 'token', username: 'me', token: 'for one' }]));
  });

  it('what is typed for one application is not there for the next', async () => {
    const props = await open();
    props.file = { flow: 'shop', env: 'dev', app: 'other' };
    await settle();
    answer('chartServer', server('two.example.com'));
    await settle();
    expect(find('chart-login-keep')).toBeNull();
    find('chart-login')!.click();
    await settle();
    expect(token()).toBe('');
  });
});
