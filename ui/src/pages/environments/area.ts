import Layers from '@lucide/svelte/icons/layers';
import Plus from '@lucide/svelte/icons/plus';
import Rocket from '@lucide/svelte/icons/rocket';
import SlidersHorizontal from '@lucide/svelte/icons/sliders-horizontal';
import type { Component } from 'svelte';
import { call, commands } from '$platform';
import type { Area, PaletteEntry } from '$state/areas';
import { router, to } from '$state/router.svelte';
import { session } from '$state/session.svelte';
import { t } from '$text';

/** No Kubernetes name starts with a tilde, so this can be no application. */
export const DEPLOY = '~deploy';
export const ROLLBACK = '~rollback';
export const COMPARE = '~compare';
export const NEW = '~new';

export const area: Area = {
  id: 'environments',
  order: 30,
  title: t('nav.environments'),
  icon: Layers as Component,
  path: '/environments',
  key: 'e',
  rail: 'top',
  routes: [
    { pattern: '/environments', load: () => import('./FlowsPage.svelte') },
    { pattern: `/environments/${NEW}`, load: () => import('./NewApplicationPage.svelte') },
    { pattern: '/environments/:flow', load: () => import('./FlowsPage.svelte') },
    { pattern: '/environments/:flow/:env', load: () => import('./EnvironmentPage.svelte') },
    { pattern: `/environments/:flow/:env/${DEPLOY}`, load: () => import('./DeployPage.svelte') },
    { pattern: `/environments/:flow/:env/${ROLLBACK}/:run`, load: () => import('./DeployPage.svelte') },
    { pattern: `/environments/:flow/${COMPARE}/:app`, load: () => import('./ComparePage.svelte'), wide: true },
    { pattern: '/environments/:flow/:env/:app', load: () => import('./ApplicationPage.svelte') },
    // After the values: no run is called that, but an application may be called runs.
    { pattern: '/environments/:flow/:env/:app/values', load: () => import('./ValuesPage.svelte'), wide: true, fill: true },
    { pattern: '/environments/:flow/:env/runs/:run', load: () => import('./DeployRunPage.svelte') },
  ],
  entries: async () => {
    if (!session.connected) return [];
    const flows = await call(commands.listFlows());
    const entries: PaletteEntry[] = [];
    if (session.argoAlone) {
      entries.push({ id: NEW, title: t('argo.new'), group: t('palette.actions'), icon: Plus as Component, run: () => router.go(to('environments', NEW)) });
    }
    for (const flow of flows) {
      for (const env of flow.environments) {
        const path = to('environments', flow.name, env.name);
        const name = `${flow.name} / ${env.name}`;
        entries.push(
          { id: path, title: name, group: t('palette.environments'), keywords: [env.namespace], icon: Layers as Component, run: () => router.go(path) },
          ...(session.argoAlone
            ? []
            : [
                {
                  id: `${path}/${DEPLOY}`,
                  title: t('env.deployTo', { env: name }),
                  group: t('palette.actions'),
                  icon: Rocket as Component,
                  run: () => router.go(`${path}/${DEPLOY}`),
                },
              ]),
          ...env.applications.map((app) => ({
            id: `${path}/${app}`,
            title: `${name} / ${app}`,
            group: t('palette.values'),
            icon: SlidersHorizontal as Component,
            run: () => router.go(to('environments', flow.name, env.name, app, 'values')),
          })),
        );
      }
    }
    return entries;
  },
};
