import House from '@lucide/svelte/icons/house';
import type { Component } from 'svelte';
import type { Area } from '$state/areas';
import { t } from '$text';

export const area: Area = {
  id: 'overview',
  order: 10,
  title: t('nav.overview'),
  icon: House as Component,
  path: '/overview',
  key: 'o',
  rail: 'top',
  routes: [{ pattern: '/overview', load: () => import('./OverviewPage.svelte') }],
};
