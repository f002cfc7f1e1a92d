import { flushSync } from 'svelte';
import { query, type Query, type QueryOptions } from '../src/state/query.svelte';

/** A query outside a component, whose key the test can change. It listens to the topic `runs`. */
export function drive(ask: (key: string) => Promise<string>, options: QueryOptions = {}): { query: Query<string>; setKey: (key: string) => void; stop: () => void } {
  let key = $state('first');
  let made: Query<string> | undefined;
  const stop = $effect.root(() => {
    made = query(() => key, ask, { topics: ['runs'], ...options });
  });
  flushSync();
  return { query: made!, setKey: (next) => (key = next), stop };
}
