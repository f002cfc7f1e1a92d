import type { ApplicationForm, ArgoCdView, ArgoDestination, ChartKind } from '$platform';

/** What is entered in the wizard, one field for each control. */
export interface Entered {
  flow: string;
  env: string;
  app: string;
  name: string;
  namespace: string;
  project: string;
  chartKind: ChartKind;
  chartUrl: string;
  chart: string;
  revision: string;
  imageTag: string;
  cluster: ArgoDestination['kind'];
  server: string;
  targetNamespace: string;
  createNamespace: boolean;
  missing: 'stop' | 'ignore';
  createFile: boolean;
  sync: 'manual' | 'automated';
  prune: boolean;
  selfHeal: boolean;
}

export const empty: Entered = {
  flow: '',
  env: '',
  app: '',
  name: '',
  namespace: '',
  project: '',
  chartKind: 'git',
  chartUrl: '',
  chart: '',
  revision: '',
  imageTag: '',
  cluster: 'inCluster',
  server: '',
  targetNamespace: '',
  createNamespace: true,
  missing: 'stop',
  createFile: true,
  sync: 'manual',
  prune: false,
  selfHeal: false,
};

/** What a name falls back to while its own field is empty. */
export function nameOf(one: Entered): string {
  return one.name.trim() || [one.flow, one.env, one.app].filter(Boolean).join('-');
}

export function targetOf(one: Entered): string {
  return one.targetNamespace.trim() || [one.flow, one.env].filter(Boolean).join('-');
}

function destination(one: Entered): ArgoDestination {
  switch (one.cluster) {
    case 'server':
      return { kind: 'server', server: one.server.trim() };
    case 'named':
      return { kind: 'named', name: one.server.trim() };
    default:
      return { kind: 'inCluster' };
  }
}

export function formOf(one: Entered, view: ArgoCdView): ApplicationForm {
  const usual = view.projects?.find((project) => project.name === 'default')?.name ?? view.projects?.[0]?.name ?? 'default';
  return {
    flow: one.flow.trim(),
    env: one.env.trim(),
    app: one.app.trim(),
    name: nameOf(one),
    namespace: one.namespace || view.namespaces[0] || 'argocd',
    project: one.project || usual,
    chartKind: one.chartKind,
    chartUrl: one.chartUrl.trim(),
    chart: one.chart.trim(),
    revision: one.revision.trim(),
    imageTag: one.imageTag.trim(),
    destination: destination(one),
    targetNamespace: targetOf(one),
    createNamespace: one.createNamespace,
    ignoreMissing: one.missing === 'ignore',
    sync: one.sync === 'manual' ? { kind: 'manual' } : { kind: 'automated', prune: one.prune, selfHeal: one.selfHeal },
    createFile: one.createFile,
  };
}

/** The fields that each step asks for, by the names that problems carry. */
export const FIELDS: Record<string, string[]> = {
  place: ['flow', 'environment', 'application'],
  chart: ['chartUrl', 'chartPath', 'chartName', 'chartVersion', 'imageTag'],
  target: ['project', 'server', 'targetNamespace', 'name', 'namespace'],
  values: ['valuesUrl', 'valuesRevision'],
  review: [],
};
