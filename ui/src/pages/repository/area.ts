import GitBranch from '@lucide/svelte/icons/git-branch';
import type { Component } from 'svelte';
import type { Area } from '$state/areas';
import { t } from '$text';

export const area: Area = {
  id: 'repository',
  order: 20,
  title: t('nav.repository'),
  icon: GitBranch as Component,
  path: '/repository',
  key: 'r',
  rail: 'top',
  routes: [
    { pattern: '/repository', load: () => import('./RepositoryPage.svelte') },
    { pattern: '/repository/servers/new', load: () => import('./AddGitServerPage.svelte') },
    { pattern: '/repository/new', load: () => import('./NewRepositoryPage.svelte') },
    { pattern: '/repository/delete', load: () => import('./DeleteRepositoryPage.svelte') },
  ],
};
