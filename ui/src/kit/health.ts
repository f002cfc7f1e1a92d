import Ban from '@lucide/svelte/icons/ban';
import CircleAlert from '@lucide/svelte/icons/circle-alert';
import CircleCheck from '@lucide/svelte/icons/circle-check';
import CircleDashed from '@lucide/svelte/icons/circle-dashed';
import CircleHelp from '@lucide/svelte/icons/circle-question-mark';
import CirclePause from '@lucide/svelte/icons/circle-pause';
import CircleX from '@lucide/svelte/icons/circle-x';
import GitCompare from '@lucide/svelte/icons/git-compare-arrows';
import Ghost from '@lucide/svelte/icons/ghost';
import Loader from '@lucide/svelte/icons/loader-circle';
import TriangleAlert from '@lucide/svelte/icons/triangle-alert';
import Zap from '@lucide/svelte/icons/zap';
import type { Component } from 'svelte';

/** The five things a colour can say. */
export type Tone = 'good' | 'warn' | 'bad' | 'busy' | 'idle';

export interface Look {
  tone: Tone;
  icon: Component;
  spin?: boolean;
}

const good: Look = { tone: 'good', icon: CircleCheck as Component };
const warn: Look = { tone: 'warn', icon: TriangleAlert as Component };
const bad: Look = { tone: 'bad', icon: CircleX as Component };
const busy: Look = { tone: 'busy', icon: Loader as Component, spin: true };
const idle: Look = { tone: 'idle', icon: CircleDashed as Component };
const unknown: Look = { tone: 'idle', icon: CircleHelp as Component };

export const toneIcon: Record<Tone, Component> = {
  good: good.icon,
  warn: warn.icon,
  bad: bad.icon,
  busy: busy.icon,
  idle: idle.icon,
};

/** The words the systems themselves use (Argo CD, Tekton, Litmus, KubeRocketCI), and how each looks. */
const LOOKS: Record<string, Look> = {
  healthy: good,
  synced: good,
  succeeded: good,
  completed: good,
  pass: good,
  passed: good,
  ready: good,
  insync: good,
  connected: good,
  created: good,
  ok: good,
  done: good,
  available: good,
  initialized: busy,
  progressing: busy,
  running: busy,
  syncing: busy,
  cloning: busy,
  started: busy,
  waited: busy,
  awaited: busy,
  'in progress': busy,
  inprogress: busy,
  terminating: busy,
  pending: { tone: 'busy', icon: CircleDashed as Component },
  outofsync: { tone: 'warn', icon: GitCompare as Component },
  ahead: { tone: 'warn', icon: GitCompare as Component },
  behind: { tone: 'warn', icon: GitCompare as Component },
  drift: { tone: 'warn', icon: GitCompare as Component },
  warn,
  conflict: { tone: 'bad', icon: CircleAlert as Component },
  invalid: { tone: 'bad', icon: CircleAlert as Component },
  degraded: bad,
  failed: bad,
  fail: bad,
  error: bad,
  bad,
  missed: { tone: 'warn', icon: Ghost as Component },
  missing: { tone: 'warn', icon: Ghost as Component },
  deletedingit: { tone: 'warn', icon: Ghost as Component },
  suspended: { tone: 'idle', icon: CirclePause as Component },
  paused: { tone: 'idle', icon: CirclePause as Component },
  stopped: { tone: 'idle', icon: Ban as Component },
  cancelled: { tone: 'idle', icon: Ban as Component },
  skipped: { tone: 'idle', icon: Ban as Component },
  fired: { tone: 'idle', icon: Zap as Component },
  wouldfire: { tone: 'idle', icon: Zap as Component },
  unknown,
  none: idle,
};

/** How a status word looks; a word nobody told us about is shown as it is, in grey. */
export function lookOf(word: string): Look {
  return LOOKS[word.toLowerCase()] ?? unknown;
}
