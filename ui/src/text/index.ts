import { en } from './en';

export type TextKey = keyof typeof en;

type Names<S extends string> = S extends `${string}{${infer P}}${infer Rest}` ? P | Names<Rest> : never;
type Values<K extends TextKey> = Record<Names<(typeof en)[K]>, string | number>;
type Arguments<K extends TextKey> = Names<(typeof en)[K]> extends never ? [] : [values: Values<K>];

/**
 * The text of a key. `{name}` is filled in; a text with `one|many` chooses by `{count}`.
 * Keys and parameters are checked by the compiler.
 */
export function t<K extends TextKey>(key: K, ...rest: Arguments<K>): string {
  const values = (rest[0] ?? {}) as Record<string, string | number>;
  let text: string = en[key];
  if ('count' in values && text.includes('|')) {
    const [one, many] = text.split('|') as [string, string];
    text = Number(values['count']) === 1 ? one : many;
  }
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

export { ago, agoBrief, agoShort, clock, date, day, dateTime, duration, sentence, shortId, shortRun } from './format';
