import { flushSync, mount, unmount } from 'svelte';
import { afterEach, describe, expect, it, vi } from 'vitest';

type Answer = (data: unknown) => void;
const waiting: Record<string, Answer[]> = {};
const called: [string, unknown[]][] = [];
vi.mock('../src/bindings', () => ({
  commands: new Proxy(
    {},
    {
      get: (_, name: string) =>
        (...args: unknown[]) => {
          called.push([name, args]);
          return new Promise((resolve) => (waiting[name] ??= []).push(resolve));
        },
    },
  ),
  events: new Proxy({}, { get: () => ({ listen: () => Promise.resolve(() => undefined) }) }),
}));

import { Failure, type AppError } from '../src/platform';
import EndingDialog from '../src/pages/environments/EndingDialog.svelte';
import DeployPage from '../src/pages/environments/DeployPage.svelte';

const settle = async () => {
  for (let i = 0; i < 4; i++) {
    await new Promise((resolve) => setTimeout(resolve));
    flushSync();
  }
};
const answer = (command: string, data: unknown) => waiting[command]!.shift()!({ status: 'ok', data });
const find = (id: string) => document.querySelector<HTMLElement>(`[data-testid="${id}"]`);

let shown: object | undefined;
afterEach(async () => {
  if (shown) await unmount(shown);
  shown = undefined;
  called.length = 0;
  for (const name of Object.keys(waiting)) delete waiting[name];
  document.body.replaceChildren();
});

describe('before a deployment is taken away', () => {
  const stale: AppError = { code: 'delivery.previewStale', message: 'It is not what was shown any more.', hint: null, retry: 'needsUser', detour: null, detail: null };
  const means = (goes: string, more: object = {}) => ({ goes: [goes], stays: [], blocked: null, permission: { allowed: true, why: null }, yaml: null, uid: 'u', digest: goes, ...more });

  function open(load: () => Promise<unknown>, run: (view: unknown) => Promise<void>) {
    const props = $state({ open: true, title: 'Delete?', action: 'Delete', typeName: 'cart', load, run, testid: 'ending' });
    shown = mount(EndingDialog as never, { target: document.body, props: props as never });
    flushSync();
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
    shown = mount(DeployPage, { target: document.body, props: { params: { flow: 'shop', env: 'dev' } } });
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
