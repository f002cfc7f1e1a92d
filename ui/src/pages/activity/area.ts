import History from '@lucide/svelte/icons/history';
import type { Component } from 'svelte';
import type { Area } from '$state/areas';
import { t } from '$text';

export const area: Area = {
  id: 'activity',
  order: 60,
  title: t('nav.activity'),
  icon: History as Component,
  path: '/activity',
  key: 'a',
  rail: 'top',
  routes: [{ pattern: '/activity', load: () => import('./ActivityPage.svelte') }],
};
