import { createSubscriber } from 'svelte/reactivity';
import type { ValuesHover } from '$platform';
import type { Hint } from '$kit';
import { t } from '$text';

/** A choice that the window still knows when it is opened again. */
export function remembered(key: string, fallback: string): { value: string } {
  let tell = (): void => undefined;
  const subscribe = createSubscriber((update) => {
    tell = update;
  });
  return {
    get value() {
      subscribe();
      return localStorage.getItem(key) ?? fallback;
    },
    set value(next: string) {
      localStorage.setItem(key, next);
      tell();
    },
  };
}

/** Values files whose edits somebody wants to review as soon as they are opened. */
const toReview = new Set<string>();

export function askReview(key: string): void {
  toReview.add(key);
}

/** Whether a review was asked for; once. */
export function takeReview(key: string): boolean {
  return toReview.delete(key);
}

/** What is known of a key, in words. */
export function hintOf(known: ValuesHover | null): Hint | null {
  if (!known) return null;
  const rules = [known.required && t('values.hint.required'), known.deprecated && t('values.hint.deprecated')].filter((one) => typeof one === 'string');
  return {
    title: known.path,
    text: known.description ?? t('values.hint.unknown'),
    facts: [
      { label: t('values.hint.default'), value: known.default, code: true },
      { label: t('values.hint.type'), value: known.kind, code: false },
      { label: t('values.hint.allowed'), value: known.allowed.join(', ') || null, code: true },
      { label: t('values.hint.rule'), value: rules.join(', ') || null, code: false },
    ].flatMap(({ label, value, code }) => (value === null ? [] : [{ label, value, code }])),
  };
}
