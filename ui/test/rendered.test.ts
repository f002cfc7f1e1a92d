import { flushSync, mount, unmount } from 'svelte';
import { afterEach, describe, expect, it, vi } from 'vitest';

const asked: { against: string; text: string; answer: (data: unknown) => void }[] = [];
vi.mock('../src/bindings', () => ({
  commands: {
    renderValues: (_file: unknown, text: string, against: string) =>
      new Promise((resolve) => asked.push({ against, text, answer: (data) => resolve({ status: 'ok', data }) })),
    cancelOperation: () => Promise.resolve(null),
  },
  events: new Proxy({}, { get: () => ({ listen: () => Promise.resolve(() => undefined) }) }),
}));

import RenderedPanel from '../src/pages/environments/RenderedPanel.svelte';

const settle = async () => {
  await new Promise((resolve) => setTimeout(resolve));
  flushSync();
};
const line = (kind: string, text: string) => ({ kind, oldNo: 1, newNo: 1, text });
const object = (id: string, kind: string, change: string, more: object = {}) => ({
  id,
  apiVersion: 'v1',
  kind,
  name: 'cart',
  namespace: 'shop',
  change,
  diff: { hunks: [], added: 0, removed: 0 },
  text: `kind: ${kind}`,
  hook: null,
  source: `cart/templates/${kind.toLowerCase()}.yaml`,
  words: null,
  ...more,
});
const rendered = (objects: object[], more: object = {}) => ({
  engine: { state: 'found', path: '/usr/bin/helm', version: 'v4.1.4' },
  chart: 'cart 0.1.0',
  release: 'cart',
  namespace: 'shop',
  objects,
  notes: [],
  ...more,
});

let panel: object | undefined;
function open(): HTMLElement {
  const target = document.createElement('div');
  document.body.append(target);
  panel = mount(RenderedPanel, { target, props: { file: { flow: 'storefront', env: 'dev', app: 'cart' }, text: 'a: 1\n' } });
  flushSync();
  return target;
}

afterEach(async () => {
  if (panel) await unmount(panel);
  asked.length = 0;
});

describe('rendered manifests', () => {
  it('asks once and shows what changes, with its lines', async () => {
    const target = open();
    await settle();
    expect(asked.map((one) => [one.against, one.text])).toEqual([['committed', 'a: 1\n']]);
    const diff = { hunks: [{ lines: [line('removed', 'replicas: 1'), line('added', 'replicas: 3')] }], added: 1, removed: 1 };
    const job = object('2', 'Job', 'added', { hook: 'pre-upgrade', diff: { hunks: [], added: 4, removed: 0 } });
    asked[0]!.answer(rendered([object('0', 'Service', 'same'), object('1', 'Deployment', 'changed', { diff }), job]));
    await settle();
    const shown = [...target.querySelectorAll('[data-testid="rendered-object"]')];
    expect(shown.map((one) => one.getAttribute('data-change'))).toEqual(['changed', 'added']);
    expect(shown[0]!.textContent).toContain('replicas: 3');
    expect(shown[1]!.textContent).toContain('hook: pre-upgrade');
    expect(asked).toHaveLength(1);
  });

  it('says what is missing and where it was searched', async () => {
    const target = open();
    await settle();
    const engine = { state: 'missing', words: 'There is no helm.', searched: ['/opt/bin'] };
    asked[0]!.answer(rendered([], { engine }));
    await settle();
    const missing = target.querySelector('[data-testid="rendered-missing"]')!;
    expect(missing.textContent).toContain('There is no helm.');
    expect(missing.textContent).toContain('/opt/bin');
  });

  it('says why an object may not be read, and shows what would be deployed', async () => {
    const target = open();
    await settle();
    asked[0]!.answer(rendered([object('0', 'Secret', 'unreadable', { words: 'secrets may not be read in shop.', text: 'p: <hidden 1>' })]));
    await settle();
    const shown = target.querySelector('[data-change="unreadable"]')!;
    expect(shown.textContent).toContain('secrets may not be read in shop.');
    expect(shown.textContent).toContain('p: <hidden 1>');
  });
});
