import type { TextKey } from '$text';

type Words = Extract<TextKey, `env.trouble.${string}`>;

/** What the platform's words about an environment mean, and what is to be done. */
export interface Trouble {
  title: Words;
  text?: Words;
  /** Where it is mended. */
  way?: 'connect' | 'repository';
}

const SET = /applicationsets?\b/i;

/** `connected` is whether there is a GitOps repository; undefined while that is not known. */
export function troubleOf(message: string, connected: boolean | undefined): Trouble {
  if (!SET.test(message)) return { title: 'env.trouble.other' };
  if (/\bforbidden\b/i.test(message)) return { title: 'env.trouble.forbidden', text: 'env.trouble.forbiddenText' };
  if (!/not found/i.test(message)) return { title: 'env.trouble.other' };
  if (connected === false) return { title: 'env.trouble.noRepository', text: 'env.trouble.noRepositoryText', way: 'connect' };
  return { title: 'env.trouble.noSet', text: 'env.trouble.noSetText', ...(connected ? { way: 'repository' } : {}) };
}
