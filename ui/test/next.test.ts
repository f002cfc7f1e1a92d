import { describe, expect, it } from 'vitest';
import type { ChaosOverview, EnvironmentView, RepositoryOverview, RunEntry } from '../src/bindings';
import { nextStep, type Known } from '../src/pages/overview/next';

const repository = (state?: string) =>
  ({ gitServers: [], warnings: [], canCreate: { allowed: true, why: null }, card: state ? { name: 'gitops', cloneState: { state } } : null }) as unknown as RepositoryOverview;
const environment = (version: string | null) => ({ flow: 'shop', name: 'dev', applications: [{ name: 'cart', version }] }) as unknown as EnvironmentView;
const chaos = (enabled: boolean, total: number) =>
  ({ projects: [{ id: 'practice', enabled, counts: { total, inSync: total, conflict: 0, invalid: 0 } }] }) as unknown as ChaosOverview;
const run = (verdict: string) => ({ namespace: 'chaos', name: 'r1', workflow: 'pod-delete', verdict, running: false }) as unknown as RunEntry;

const done: Known = { repository: repository('ready'), flows: [], environments: [environment('1.0')], chaos: chaos(true, 1), runs: [run('Pass')] };

describe('the next step', () => {
  it.each<[string, Partial<Known>, string | undefined]>([
    ['nothing known yet', { repository: undefined }, undefined],
    ['no repository', { repository: repository() }, 'repository'],
    ['no credential', { repository: repository('needsCredential') }, 'credential'],
    ['environments not known', { environments: undefined }, undefined],
    ['nothing deployed', { environments: [environment(null)] }, 'deploy'],
    ['no environment at all', { environments: [] }, 'again'],
    ['GitOps off', { chaos: chaos(false, 3) }, 'chaos'],
    ['no workflow', { chaos: chaos(true, 0) }, 'workflow'],
    ['no run', { runs: [] }, 'run'],
    ['last run failed', { runs: [run('Fail'), run('Pass')] }, 'fix'],
    ['all done', {}, 'again'],
  ])('%s', (_, change, id) => expect(nextStep({ ...done, ...change })?.id).toBe(id));

  it('leads to the failed run', () => {
    expect(nextStep({ ...done, runs: [run('Fail')] })?.path).toBe('/chaos/runs/chaos/r1');
  });
});
