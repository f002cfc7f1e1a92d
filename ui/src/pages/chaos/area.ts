import FlaskConical from '@lucide/svelte/icons/flask-conical';
import type { Component } from 'svelte';
import { call, commands } from '$platform';
import type { Area } from '$state/areas';
import { router, to } from '$state/router.svelte';
import { t } from '$text';

export const area: Area = {
  id: 'chaos',
  order: 40,
  title: t('nav.chaos'),
  icon: FlaskConical as Component,
  path: '/chaos',
  key: 'c',
  rail: 'top',
  routes: [
    { pattern: '/chaos', load: () => import('./ChaosPage.svelte') },
    { pattern: '/chaos/new/project', load: () => import('./EnablePage.svelte') },
    { pattern: '/chaos/chaoscenter/connections', load: () => import('./CentersPage.svelte') },
    { pattern: '/chaos/chaoscenter/connections/:id', load: () => import('./CenterPage.svelte') },
    { pattern: '/chaos/chaoscenter/connections/:id/:project/:experiment', load: () => import('./CenterRunsPage.svelte') },
    { pattern: '/chaos/:project', load: () => import('./ProjectPage.svelte') },
    { pattern: '/chaos/:project/place', load: () => import('./EnablePage.svelte') },
    { pattern: '/chaos/:project/new', load: () => import('./NewWorkflowPage.svelte'), wide: true },
    { pattern: '/chaos/runs/:namespace/:name', load: () => import('./RunPage.svelte') },
    { pattern: '/chaos/:project/workflows/:name', load: () => import('./WorkflowPage.svelte'), wide: true },
  ],
  entries: async () => {
    const { projects } = await call(commands.chaosOverview());
    const group = t('nav.chaos');
    return [
      { id: 'chaos:enable', title: t('chaos.enable'), group, run: () => router.go('/chaos/new/project') },
      { id: 'chaos:centers', title: t('centers.title'), group, run: () => router.go('/chaos/chaoscenter/connections') },
      ...projects.map((project) => ({
        id: `chaos:${project.id}`,
        title: t('chaos.project') + ' ' + project.id,
        group,
        keywords: [project.url],
        run: () => router.go(to('chaos', project.id)),
      })),
    ];
  },
};
