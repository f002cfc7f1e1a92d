import type { Component } from 'svelte';

/** Parameters taken out of a path; every name in the route's pattern is there. */
export type Params = Record<string, string>;

/** One page: a pattern such as `/environments/:flow/:env`, and the module that draws it. */
export interface Route {
  pattern: string;
  load: () => Promise<{ default: unknown }>;
  /** Pages that need no connection (first screen, settings) say so. */
  open?: boolean;
  /** Takes the whole width: editors and wide tables. */
  wide?: boolean;
  /** As high as the window, and scrolls inside. */
  fill?: boolean;
}

const pages = new Map<Route, Promise<Component<{ params: Params }>>>();

/**
 * The page's component: each takes the parameters of its own pattern, which the pattern alone decides. A route always
 * gives the same promise, so that a page is not made anew, and loses nothing, when something around it changes.
 */
export function pageOf(route: Route): Promise<Component<{ params: Params }>> {
  let page = pages.get(route);
  if (!page) {
    page = route.load().then((module) => module.default as Component<{ params: Params }>);
    // A page that could not be loaded is asked for again.
    page.catch(() => pages.delete(route));
    pages.set(route, page);
  }
  return page;
}

/** A path with its parts encoded, for `href`. */
export function to(...parts: (string | number)[]): string {
  return '/' + parts.map((part) => encodeURIComponent(String(part))).join('/');
}

export function hrefOf(path: string): string {
  return '#' + path;
}

/** The parameters when `path` fits `pattern`, else undefined. */
export function match(pattern: string, path: string): Params | undefined {
  const want = pattern.split('/').filter(Boolean);
  const have = path.split('?')[0]!.split('/').filter(Boolean);
  if (want.length !== have.length) return undefined;
  const params: Params = {};
  for (const [i, part] of want.entries()) {
    const got = have[i]!;
    if (part.startsWith(':')) {
      try {
        params[part.slice(1)] = decodeURIComponent(got);
      } catch {
        return undefined;
      }
    } else if (part !== got) {
      return undefined;
    }
  }
  return params;
}

function currentPath(): string {
  const hash = location.hash.replace(/^#/, '');
  return hash.startsWith('/') ? hash : '/';
}

class Router {
  path = $state(currentPath());
  /** Newest first; the palette offers them. */
  recent = $state<string[]>([]);

  constructor() {
    window.addEventListener('hashchange', () => {
      this.path = currentPath();
      this.remember();
    });
  }

  go(path: string): void {
    if (path === this.path) return;
    location.hash = path;
  }

  replace(path: string): void {
    history.replaceState(null, '', '#' + path);
    this.path = path;
  }

  back(): void {
    history.back();
  }

  /** Is this path the shown one, or above it? */
  within(path: string): boolean {
    const shown = this.path.split('?')[0]!;
    return shown === path || (path !== '/' && shown.startsWith(path + '/'));
  }

  forget(): void {
    this.recent = [];
  }

  private remember(): void {
    this.recent = [this.path, ...this.recent.filter((path) => path !== this.path)].slice(0, 8);
  }
}

export const router = new Router();
