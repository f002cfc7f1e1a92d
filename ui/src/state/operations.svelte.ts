import { asAppError, commands, on, type AppError, type OperationProgress } from '$platform';

/** A long command as the window sees it. */
export class Operation {
  readonly id: string;
  readonly label: string;
  progress = $state.raw<OperationProgress | undefined>();
  state = $state<'running' | 'cancelling' | 'done' | 'failed'>('running');
  error = $state.raw<AppError | undefined>();

  constructor(id: string, label: string) {
    this.id = id;
    this.label = label;
  }

  get running(): boolean {
    return this.state === 'running' || this.state === 'cancelling';
  }

  async cancel(): Promise<void> {
    if (this.state !== 'running') return;
    this.state = 'cancelling';
    await commands.cancelOperation(this.id);
  }
}

const live = new Map<string, Operation>();
let started = false;

function listen(): void {
  if (started) return;
  started = true;
  on('operationProgress', (event) => {
    const operation = live.get(event.operation);
    if (operation) operation.progress = event;
  });
}

/** `crypto.randomUUID` is missing where the web view does not call the page a secure origin. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * Holds the long command of one component: at most one at a time, its progress and its error in sight.
 * `start` resolves to the answer, or to undefined when it failed (the error is then in `current.error`).
 */
export class Runner {
  current = $state<Operation | undefined>();

  get running(): boolean {
    return this.current?.running ?? false;
  }

  get error(): AppError | undefined {
    return this.current?.error;
  }

  async start<T>(label: string, ask: (operation: string) => Promise<T>): Promise<T | undefined> {
    listen();
    if (this.running) return undefined;
    const operation = new Operation(newId(), label);
    live.set(operation.id, operation);
    this.current = operation;
    try {
      const got = await ask(operation.id);
      operation.state = 'done';
      return got;
    } catch (thrown) {
      operation.error = asAppError(thrown);
      operation.state = 'failed';
      return undefined;
    } finally {
      live.delete(operation.id);
    }
  }

  clear(): void {
    if (!this.running) this.current = undefined;
  }
}
