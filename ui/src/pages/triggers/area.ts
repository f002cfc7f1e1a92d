import Zap from '@lucide/svelte/icons/zap';
import type { Component } from 'svelte';
import type { Area } from '$state/areas';
import { router } from '$state/router.svelte';
import { t } from '$text';

export const area: Area = {
  id: 'triggers',
  order: 50,
  title: t('nav.triggers'),
  icon: Zap as Component,
  path: '/triggers',
  key: 't',
  rail: 'top',
  routes: [
    { pattern: '/triggers', load: () => import('./TriggersPage.svelte') },
    { pattern: '/triggers/new', load: () => import('./EditTriggerPage.svelte'), wide: true },
    { pattern: '/triggers/litmus', load: () => import('./LitmusPage.svelte') },
    { pattern: '/triggers/:namespace/:name', load: () => import('./TriggerPage.svelte') },
    { pattern: '/triggers/:namespace/:name/edit', load: () => import('./EditTriggerPage.svelte'), wide: true },
  ],
  entries: () => [
    { id: 'triggers:new', title: t('triggers.new'), group: t('nav.triggers'), run: () => router.go('/triggers/new') },
    { id: 'triggers:litmus', title: t('litmus.open'), group: t('nav.triggers'), run: () => router.go('/triggers/litmus') },
  ],
};
