// A core that answers when the test says so, in the place of the bindings, and the page that asks it.
//
// `vi.mock('../src/bindings', async () => (await import('./core')).bindings)` puts it there.
import { flushSync, mount, unmount } from 'svelte';
import { afterEach, vi } from 'vitest';

/** Takes what a call is answered with. */
export type Answer = (data: unknown) => void;
const waiting: Record<string, Answer[]> = {};
let shown: object | undefined;

/** Each command that was called since the test began, with its arguments. */
export const called: [string, unknown[]][] = [];
/** What listens to each event. */
export const listeners: Record<string, (event: { payload: unknown }) => void> = {};

/** The bindings that wait for {@link answer}. */
export const bindings = {
  commands: new Proxy(
    {},
    {
      get: (_, name: string) =>
        (...args: unknown[]) => {
          called.push([name, args]);
          return new Promise((resolve) => (waiting[name] ??= []).push(resolve));
        },
    },
  ),
  events: new Proxy(
    {},
    {
      get: (_, name: string) => ({
        listen: (handler: (event: { payload: unknown }) => void) => {
          listeners[name] = handler;
          return Promise.resolve(() => undefined);
        },
      }),
    },
  ),
};

/** Answers the oldest call of a command that waits. */
export const answer = (command: string, data: unknown) => waiting[command]!.shift()!({ status: 'ok', data });

/** Refuses the oldest call of a command that waits. */
export const refuse = (command: string, error: unknown) => waiting[command]!.shift()!({ status: 'error', error });

/** How many calls of a command wait. */
export const waits = (command: string) => waiting[command]?.length ?? 0;

/** How often a command was called. */
export const count = (command: string) => called.filter(([name]) => name === command).length;

/** The element with a test id. */
export const find = (id: string) => document.querySelector<HTMLElement>(`[data-testid="${id}"]`);

/** Lets promises and effects run until nothing changes by itself. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) {
    if (vi.isFakeTimers()) await vi.advanceTimersByTimeAsync(0);
    else await new Promise((resolve) => setTimeout(resolve));
    flushSync();
  }
}

/** Shows a page or component until the test ends. */
export function show(component: unknown, props: object = {}): void {
  shown = mount(component as never, { target: document.body, props: props as never });
  flushSync();
}

afterEach(async () => {
  if (shown) await unmount(shown);
  shown = undefined;
  called.length = 0;
  for (const name of Object.keys(waiting)) delete waiting[name];
  document.body.replaceChildren();
});
