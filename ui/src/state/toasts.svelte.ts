import { asAppError, type AppError } from '$platform';

export type Level = 'info' | 'good' | 'warn' | 'bad';

export interface Toast {
  id: number;
  level: Level;
  title: string;
  body?: string | undefined;
  /** Where a click leads. */
  path?: string | undefined;
}

/** Good news leaves by itself; bad news stays until it is read. */
const LIFE: Record<Level, number | undefined> = { info: 7000, good: 5000, warn: 12000, bad: undefined };

class Toasts {
  shown = $state<Toast[]>([]);
  private next = 1;

  show(toast: Omit<Toast, 'id'>): void {
    const id = this.next++;
    this.shown = [...this.shown.slice(-3), { ...toast, id }];
    const life = LIFE[toast.level];
    if (life !== undefined) setTimeout(() => this.dismiss(id), life);
  }

  good(title: string, body?: string): void {
    this.show({ level: 'good', title, body });
  }

  failed(thrown: unknown): void {
    const error: AppError = asAppError(thrown);
    this.show({ level: 'bad', title: error.message, body: error.hint ?? undefined });
  }

  dismiss(id: number): void {
    this.shown = this.shown.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
