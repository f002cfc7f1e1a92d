import Bot from '@lucide/svelte/icons/bot';
import type { Component } from 'svelte';
import type { Area } from '$state/areas';
import { router } from '$state/router.svelte';
import { t } from '$text';

export const area: Area = {
  id: 'agent',
  order: 55,
  title: t('agent.title'),
  icon: Bot as Component,
  path: '/agent',
  key: 'i',
  rail: 'none',
  under: 'triggers',
  routes: [
    { pattern: '/agent', load: () => import('./AgentPage.svelte') },
    { pattern: '/agent/install', load: () => import('./InstallAgentPage.svelte') },
  ],
  entries: () => [
    { id: 'agent:page', title: t('agent.title'), group: t('agent.title'), keywords: ['lease', 'in charge', 'pause'], run: () => router.go('/agent') },
    { id: 'agent:install', title: t('agent.install'), group: t('agent.title'), keywords: ['upgrade', 'update', 'rights'], run: () => router.go('/agent/install') },
  ],
};
