import type { ChaosOverview, EnvironmentView, FlowEntry, RepositoryOverview, RunEntry } from '$platform';
import { to } from '$state/router.svelte';
import { t } from '$text';

/** What is known so far; a part that is not answered yet, or cannot be, is undefined. */
export interface Known {
  repository: RepositoryOverview | undefined;
  flows: FlowEntry[] | undefined;
  environments: EnvironmentView[] | undefined;
  chaos: ChaosOverview | undefined;
  runs: RunEntry[] | undefined;
}

export interface NextStep {
  id: 'repository' | 'credential' | 'deploy' | 'chaos' | 'workflow' | 'run' | 'fix' | 'again';
  title: string;
  text: string;
  action: string;
  path: string;
}

/** The first station of the loop that is not done. Nothing is proposed past a part that is not known. */
export function nextStep(known: Known): NextStep | undefined {
  const { repository, flows, environments, chaos, runs } = known;
  if (!repository) return undefined;
  if (!repository.card) {
    return { id: 'repository', title: t('overview.repository.do'), text: t('overview.repository.noneText'), action: t('overview.repository.do'), path: '/repository' };
  }
  if (repository.card.cloneState.state === 'needsCredential') {
    return {
      id: 'credential',
      title: t('overview.repository.credentialDo'),
      text: t('overview.repository.credential', { name: repository.card.name }),
      action: t('overview.repository.credentialDo'),
      path: '/repository',
    };
  }
  if (!flows || !environments) return undefined;
  const first = environments[0];
  if (first && environments.every((view) => view.applications.every((application) => !application.version))) {
    const action = t('overview.environments.deploy', { env: first.name });
    return { id: 'deploy', title: action, text: t('overview.environments.undeployed'), action, path: to('environments', first.flow, first.name) };
  }
  if (!chaos) return undefined;
  const on = chaos.projects.filter((project) => project.enabled);
  if (!on.length) {
    return { id: 'chaos', title: t('overview.chaos.do'), text: t('overview.chaos.noneText'), action: t('overview.chaos.do'), path: '/chaos' };
  }
  if (on.every((project) => project.counts.total === 0)) {
    return { id: 'workflow', title: t('overview.chaos.emptyDo'), text: t('overview.chaos.emptyText'), action: t('overview.chaos.emptyDo'), path: to('chaos', on[0]!.id) };
  }
  if (!runs) return undefined;
  const last = runs.find((run) => !run.running);
  if (!runs.length) {
    return { id: 'run', title: t('overview.verdict.do'), text: t('overview.verdict.noneText'), action: t('overview.verdict.do'), path: to('chaos', on[0]!.id) };
  }
  if (last && (last.verdict === 'Fail' || last.verdict === 'Error')) {
    return {
      id: 'fix',
      title: t('overview.verdict.failTitle', { workflow: last.workflow ?? last.name }),
      text: t('overview.verdict.fail'),
      action: t('overview.verdict.failDo'),
      path: to('chaos', 'runs', last.namespace, last.name),
    };
  }
  return { id: 'again', title: t('overview.all'), text: t('overview.allText'), action: t('overview.allDo'), path: '/environments' };
}
