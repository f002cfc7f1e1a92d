import type { Component } from 'svelte';
import type { Route } from './router.svelte';

/** Something the palette can do or open. */
export interface PaletteEntry {
  id: string;
  title: string;
  group: string;
  keywords?: string[];
  /** Shown at the right, e.g. `g r`. */
  keys?: string;
  icon?: Component;
  run: () => void | Promise<void>;
}

/** A room of the window. Each folder of pages brings its own in `area.ts`. */
export interface Area {
  id: string;
  /** Place in the rail. */
  order: number;
  title: string;
  icon: Component;
  path: string;
  /** Second key of the `g …` shortcut. */
  key: string;
  routes: Route[];
  /** Shown in the rail. The first screen is not. */
  rail: 'top' | 'foot' | 'none';
  /** The area of the rail that stays marked while this one is open. */
  under?: string;
  /** Entries of the palette; asked each time it opens. */
  entries?: () => PaletteEntry[] | Promise<PaletteEntry[]>;
}

const modules = import.meta.glob<{ area: Area }>('../pages/*/area.ts', { eager: true });

/** Every area that exists, in the rail's order. */
export const areas: Area[] = Object.values(modules)
  .map((module) => module.area)
  .sort((a, b) => a.order - b.order);
