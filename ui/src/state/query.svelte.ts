import { untrack } from 'svelte';
import { asAppError, type AppError, type Topic } from '$platform';
import { onChanged } from './changes';

export interface QueryOptions {
  /** Ask again when the app says that one of these changed. */
  topics?: Topic[];
  /** While a new key is asked, go on showing the answer to the old one (a preview of a form). */
  keep?: boolean;
  /**
   * A key that is being typed, and an answer that costs the cluster something: another key is asked about when it has stood for
   * so many milliseconds, and never while the question before is still under way.
   */
  pause?: number;
}

/** What a page shows of one question to the app. */
export interface Query<T> {
  /** The last good answer, also while a newer one is on its way. */
  readonly data: T | undefined;
  readonly error: AppError | undefined;
  /** Nothing to show yet. */
  readonly loading: boolean;
  /** Something is shown, and a newer answer is on its way or did not arrive. */
  readonly stale: boolean;
  refresh: () => Promise<void>;
  /** Puts an answer in place that a command has just given. */
  set: (data: T) => void;
  /** Puts in place why a command gave no answer; what is shown is stale. */
  fail: (error: AppError) => void;
}

/**
 * Asks when the component starts, when what `key` reads changes, and when one of the topics does.
 * Only the newest question counts: an answer that was overtaken is dropped. A key of `undefined` asks nothing.
 */
export function query<K, T>(key: () => K | undefined, ask: (key: K) => Promise<T>, options: QueryOptions = {}): Query<T> {
  let data = $state.raw<T | undefined>();
  let error = $state.raw<AppError | undefined>();
  let busy = $state(true);
  let newest = 0;
  let last: string | undefined;
  let waiting: ReturnType<typeof setTimeout> | undefined;
  let underWay: Promise<unknown> | undefined;

  async function refresh(): Promise<void> {
    clearTimeout(waiting);
    const now = untrack(key);
    if (now === undefined) return;
    const mine = ++newest;
    busy = true;
    try {
      if (options.pause !== undefined) {
        // Whatever became of the one before is told by the one who asked it.
        while (underWay) await underWay.catch(() => undefined);
        if (mine !== newest) return;
      }
      const asking = ask(now);
      underWay = asking;
      const done = () => {
        if (underWay === asking) underWay = undefined;
      };
      asking.then(done, done);
      const got = await asking;
      if (mine !== newest) return;
      data = got;
      error = undefined;
    } catch (thrown) {
      if (mine !== newest) return;
      error = asAppError(thrown);
    }
    busy = false;
  }

  $effect(() => {
    const now = key();
    const text = JSON.stringify(now);
    untrack(() => {
      const first = last === undefined;
      const another = text !== last;
      if (another) {
        // Another object: what is shown would be a lie about it.
        if (!options.keep) data = undefined;
        error = undefined;
        last = text;
      }
      clearTimeout(waiting);
      if (now === undefined) {
        newest++;
        busy = false;
      } else if (options.pause !== undefined && another && !first) {
        // What is still on its way is about a key that is gone.
        newest++;
        busy = true;
        waiting = setTimeout(() => void refresh(), options.pause);
      } else {
        void refresh();
      }
    });
  });

  $effect(() => {
    const topics = options.topics;
    if (!topics?.length) return;
    return onChanged((topic) => {
      if (topics.includes(topic)) void refresh();
    });
  });

  $effect(() => () => {
    newest++;
    clearTimeout(waiting);
  });

  return {
    get data() {
      return data;
    },
    get error() {
      return error;
    },
    get loading() {
      return busy && data === undefined && error === undefined;
    },
    get stale() {
      return data !== undefined && (busy || error !== undefined);
    },
    refresh,
    set(value: T) {
      newest++;
      data = value;
      error = undefined;
      busy = false;
    },
    fail(why: AppError) {
      newest++;
      error = why;
      busy = false;
    },
  };
}
