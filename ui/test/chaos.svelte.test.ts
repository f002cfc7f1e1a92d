import { describe, expect, it, vi } from 'vitest';

vi.mock('../src/bindings', async () => (await import('./core')).bindings);

import { whyNoRun } from '../src/pages/chaos/running';
import EnablePage from '../src/pages/chaos/EnablePage.svelte';
import WorkflowForm from '../src/pages/chaos/WorkflowForm.svelte';
import WorkflowPage from '../src/pages/chaos/WorkflowPage.svelte';
import { answer, called, find, settle, show } from './core';

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
    show(WorkflowPage, { params: { project: 'shop', name: 'kill' } });
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
    show(WorkflowForm, { text: 'x', form: form(value), onchange: () => undefined });
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
    show(EnablePage, { params: { project: 'shop' } });
    const project = { id: 'shop', namespace: 'litmus', url: 'https://git.example/gitops.git', branch: 'main', inGitopsRepository };
    answer('chaosOverview', { crdsInstalled: true, projects: [project], namespaces: ['litmus'], canManage: { allowed: true, why: null } });
    answer('repositoryOverview', { card: { cloneState: { state: 'ready' } }, gitServers: [], canCreate: { allowed: true, why: null } });
    await settle();
    expect(find(`enable-where-${where}`)!.getAttribute('aria-checked')).toBe('true');
    expect(find('enable-url') !== null).toBe(where === 'other');
  });
});
