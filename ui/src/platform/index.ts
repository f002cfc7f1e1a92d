// The one door between the window and the app behind it: nothing else imports `@tauri-apps/*`.
import type { AppError } from '../bindings';
import { events } from '../bindings';

export * from '../bindings';

/** What a command resolves to: the data, or the error the app gave. */
export type Answer<T> = { status: 'ok'; data: T } | { status: 'error'; error: AppError };

/** A command's own error, thrown so that promises can carry it. */
export class Failure extends Error {
  readonly error: AppError;

  constructor(error: AppError) {
    super(error.message);
    this.name = 'Failure';
    this.error = error;
  }
}

/** The data of a command, or a `Failure`. */
export async function call<T>(answer: Promise<Answer<T>>): Promise<T> {
  const got = await answer;
  if (got.status === 'error') throw new Failure(got.error);
  return got.data;
}

/** Whatever was thrown, as the app's error; a fault of the window itself becomes `internal`. */
export function asAppError(thrown: unknown): AppError {
  if (thrown instanceof Failure) return thrown.error;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return { code: 'app.internal', message, hint: null, retry: 'now', detour: null, detail: null };
}

type EventName = keyof typeof events;
type Payload<K extends EventName> = Parameters<Parameters<(typeof events)[K]['listen']>[0]>[0]['payload'];

/** Listens until the returned function is called, also when that happens before the listener is in place. */
export function on<K extends EventName>(name: K, handler: (payload: Payload<K>) => void): () => void {
  let stopped = false;
  let stop: (() => void) | undefined;
  const listening = events[name].listen((event) => handler(event.payload as Payload<K>));
  void listening.then((off) => {
    if (stopped) off();
    else stop = off;
  });
  return () => {
    stopped = true;
    stop?.();
  };
}

/** Copies text; the old way is for web views that keep the clipboard API to secure origins. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.style.position = 'fixed';
    area.style.opacity = '0';
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}
