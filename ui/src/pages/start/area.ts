import Compass from '@lucide/svelte/icons/compass';
import type { Component } from 'svelte';
import { call, commands } from '$platform';
import type { Area } from '$state/areas';
import { router } from '$state/router.svelte';
import { t } from '$text';

export const area: Area = {
  id: 'start',
  order: 0,
  title: t('nav.start'),
  icon: Compass as Component,
  path: '/start',
  key: 'k',
  rail: 'none',
  routes: [{ pattern: '/start', load: () => import('./StartPage.svelte'), open: true }],
  entries: async () => {
    const { contexts } = await call(commands.listContexts());
    return contexts
      .filter((context) => !context.problem)
      .map((context) => ({
        id: `context:${context.name}`,
        title: t('start.connectTo', { name: context.name }),
        group: t('palette.contexts'),
        keywords: [context.cluster, context.server],
        run: () => router.go(`/start?connect=${encodeURIComponent(context.name)}`),
      }));
  },
};
