import Settings from '@lucide/svelte/icons/settings';
import type { Component } from 'svelte';
import type { Area } from '$state/areas';
import { t } from '$text';

export const area: Area = {
  id: 'settings',
  order: 80,
  title: t('nav.settings'),
  icon: Settings as Component,
  path: '/settings',
  key: 's',
  rail: 'foot',
  routes: [{ pattern: '/settings', load: () => import('./SettingsPage.svelte'), open: true }],
};
