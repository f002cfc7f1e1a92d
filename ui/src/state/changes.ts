import { on, type Topic } from '$platform';

type Listener = (topic: Topic) => void;

const listeners = new Set<Listener>();
let started = false;

/** Tells every query that the data behind a topic moved. Also called after a write of our own. */
export function changed(topic: Topic): void {
  for (const listener of [...listeners]) listener(topic);
}

/** One subscription to the app's `Changed` event serves all queries. */
export function onChanged(listener: Listener): () => void {
  if (!started) {
    started = true;
    on('changed', (event) => changed(event.topic));
  }
  listeners.add(listener);
  return () => listeners.delete(listener);
}
