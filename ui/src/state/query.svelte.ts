import { untrack } from 'svelte';
import { asAppError, type AppError, type Topic } from '$platform';
import { onChanged } from './changes';

export interface QueryOptions {
  /** Ask again when the app says that one of these changed. */
  topics?: Topic[];
  /** While a new key is asked, go on showing the answer to the old one (a preview of a form). */
  keep?: boolean;
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

  async function refresh(): Promise<void> {
    const now = untrack(key);
    if (now === undefined) return;
    const mine = ++newest;
    busy = true;
    try {
      const got = await ask(now);
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
      if (text !== last) {
        // Another object: what is shown would be a lie about it.
        if (!options.keep) data = undefined;
        error = undefined;
        last = text;
      }
      if (now === undefined) {
        newest++;
        busy = false;
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
