import { describe, expect, it, vi } from 'vitest';

vi.mock('../src/bindings', async () => (await import('./core')).bindings);

import AgentPage from '../src/pages/agent/AgentPage.svelte';
import InstallAgentPage from '../src/pages/agent/InstallAgentPage.svelte';
import { answer, called, count, find, listeners, settle, show } from './core';

const form = { namespace: 'pilothouse', image: 'registry.example/agent:1', replicas: 2, authorName: 'Agent', authorEmail: 'agent@example.com', projects: [], triggers: ['litmus'] };
const plan = (shown: string, more: object = {}) => ({
  form, installed: true, problems: [], projects: [], triggers: [{ namespace: 'litmus', count: 1, served: true }], objects: [], rights: [], missing: [],
  yaml: '', shown, changes: 1, confirm: null, cutOff: null, ...more,
});
const allowed = { allowed: true, why: null };
const status = (state: string, cutOff: object | null) => ({
  state, words: 'It stands so.', namespace: 'pilothouse', image: form.image, replicas: 2, ready: 2, problems: [], charges: [], practice: false, confirm: null, canPause: allowed, cutOff,
});

describe('the agent in the cluster', () => {
  it('is installed as it was on screen when the dialog opened', async () => {
    show(InstallAgentPage);
    await settle();
    answer('planAgent', plan('what was looked at'));
    await settle();
    find('agent-go')!.click();
    await settle();
    // A colleague makes a trigger: the page asks anew behind the dialog.
    listeners['changed']!({ payload: { topic: 'chaos' } });
    await vi.waitFor(() => expect(count('planAgent')).toBe(2));
    answer('planAgent', plan('what nobody has seen'));
    await settle();
    find('agent-dialog-do')!.click();
    await settle();
    const [request] = called.find(([name]) => name === 'installAgent')![1] as [{ shown: string }];
    expect(request.shown).toBe('what was looked at');
  });

  it('names what it does not look after and leaves it unticked', async () => {
    show(InstallAgentPage);
    await settle();
    const fresh = [{ namespace: 'bank', count: 1, served: false }, { namespace: 'litmus', count: 1, served: true }];
    answer('planAgent', plan('a plan', { triggers: fresh }));
    await settle();
    const box = (id: string) => find(id)!.closest('label') ?? find(id)!.parentElement!;
    const ticked = (id: string) => find(id)!.getAttribute('aria-checked') === 'true' || find(id)!.dataset['state'] === 'checked';
    expect([ticked('agent-triggers-bank'), ticked('agent-triggers-litmus')]).toEqual([false, true]);
    expect(box('agent-triggers-bank').textContent).toContain('does not look after it now');
    expect(box('agent-triggers-litmus').textContent).not.toContain('does not look after it now');
  });

  it('a removal that was cut off is gone on with, kinds and all', async () => {
    show(AgentPage);
    await settle();
    answer('agentStatus', status('halfway', { work: 'remove', since: '2026-01-01T10:00:00Z', kinds: true }));
    await settle();
    expect(find('agent-removal-cut-off')).not.toBeNull();
    find('agent-remove-rest')!.click();
    await settle();
    answer('planAgentRemoval', { goes: [], stays: ['Files in Git.'], staysWithKinds: ['The kinds.'], withKinds: ['1 chaos project'], missing: [], kindsMissing: [], shown: 'x' });
    await settle();
    expect(find('removal-name'), 'the kinds want the name typed').not.toBeNull();
    expect(find('removal-stays')!.textContent).toBe('Files in Git.');
  });

  it('an update that was cut off says what is left, and can be given up', async () => {
    show(AgentPage);
    await settle();
    answer('agentStatus', status('running', null));
    await settle();
    answer('planAgent', plan('x', { changes: 3, cutOff: { work: 'install', since: '2026-01-01T10:00:00Z', kinds: false } }));
    await settle();
    expect(find('agent-cut-off')!.textContent).toContain('3 objects are left');
    expect(find('agent-outdated')).toBeNull();
    find('agent-give-up')!.click();
    await settle();
    answer('forgetAgentWork', null);
    await vi.waitFor(() => expect(count('planAgent')).toBe(2));
    answer('planAgent', plan('x', { changes: 0 }));
    await settle();
    expect(find('agent-cut-off')).toBeNull();
  });
});
