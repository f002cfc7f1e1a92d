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

import { whyNoRun } from '../src/pages/chaos/running';
import EnablePage from '../src/pages/chaos/EnablePage.svelte';
import WorkflowForm from '../src/pages/chaos/WorkflowForm.svelte';
import WorkflowPage from '../src/pages/chaos/WorkflowPage.svelte';

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

describe('running a workflow', () => {
  it('says why what is not settled cannot be run, before what is merely not committed', () => {
    expect(whyNoRun('inSync', false)).toBeUndefined();
    expect(whyNoRun('ahead', false)).toBeUndefined();
    expect(whyNoRun(undefined, false)).toBeUndefined();
    expect(whyNoRun('inSync', true)).toMatch(/not committed/);
    expect(whyNoRun('conflict', true)).toMatch(/conflict/);
    expect(whyNoRun('deletedInGit', false)).toMatch(/gone from Git/);
    expect(whyNoRun('invalid', false)).toMatch(/not valid/);
  });

  it('its button opens nothing while Git and the cluster differ', async () => {
    shown = mount(WorkflowPage as never, { target: document.body, props: { params: { project: 'shop', name: 'kill' } } as never });
    flushSync();
    const entry = { name: 'kill', state: 'conflict', message: null, line: null, runPolicy: 'manual', heldBack: null, schedule: null };
    answer('chaosWorkflows', [entry]);
    await settle();
    const run = find('workflow-run')!;
    expect(run.getAttribute('aria-disabled')).toBe('true');
    run.click();
    await settle();
    expect(called.map(([name]) => name)).not.toContain('previewRun');
  });
});

describe('the settings of a fault', () => {
  const choices = [
    { value: 'true', label: 'Yes' },
    { value: 'false', label: 'No' },
  ];
  const form = (value: string) => ({
    name: 'kill', kind: 'ChaosEngine', schedule: null, next: [], scheduleProblem: null,
    faults: [
      {
        template: 'kill', fault: 'pod-delete', title: 'Delete pods', weight: null, targets: [], namespace: 'shop', selector: 'app=cart', probes: [], byHand: null,
        parameters: [
          { name: 'FORCE', value, choices, known: { name: 'FORCE', label: 'Force', unit: null, default: 'false', min: null, max: null, help: 'Kills at once.' } },
          { name: 'TARGET_PODS', value: '', choices: [], known: null },
        ],
      },
    ],
  });

  it.each([
    ['false', 'No'],
    ['{{workflow.parameters.force}}', '{{workflow.parameters.force}}'],
    ['', 'empty'],
  ])('with few values are chosen from them: %j', (value, words) => {
    shown = mount(WorkflowForm as never, { target: document.body, props: { text: 'x', form: form(value), onchange: () => undefined } as never });
    flushSync();
    const force = find('form-FORCE')!;
    expect(force.tagName).toBe('BUTTON');
    expect(force.getAttribute('aria-label')).toBe(`Force: ${words}`);
    expect(find('form-TARGET_PODS')!.tagName).toBe('INPUT');
  });
});

describe('the place of a project', () => {
  it.each([
    [true, 'shared'],
    [false, 'other'],
  ])('is what it is now: in the GitOps repository %s', async (inGitopsRepository, where) => {
    shown = mount(EnablePage as never, { target: document.body, props: { params: { project: 'shop' } } as never });
    flushSync();
    const project = { id: 'shop', namespace: 'litmus', url: 'https://git.example/gitops.git', branch: 'main', inGitopsRepository };
    answer('chaosOverview', { crdsInstalled: true, projects: [project], namespaces: ['litmus'], canManage: { allowed: true, why: null } });
    answer('repositoryOverview', { card: { cloneState: { state: 'ready' } }, gitServers: [], canCreate: { allowed: true, why: null } });
    await settle();
    expect(find(`enable-where-${where}`)!.getAttribute('aria-checked')).toBe('true');
    expect(find('enable-url') !== null).toBe(where === 'other');
  });
});
