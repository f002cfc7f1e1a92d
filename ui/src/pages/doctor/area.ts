import Stethoscope from '@lucide/svelte/icons/stethoscope';
import type { Component } from 'svelte';
import type { Area } from '$state/areas';
import { t } from '$text';

export const area: Area = {
  id: 'doctor',
  order: 70,
  title: t('nav.doctor'),
  icon: Stethoscope as Component,
  path: '/doctor',
  key: 'd',
  rail: 'foot',
  routes: [{ pattern: '/doctor', load: () => import('./DoctorPage.svelte'), open: true }],
};
