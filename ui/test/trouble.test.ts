import { describe, expect, it } from 'vitest';
import { troubleOf } from '../src/pages/environments/trouble';
import { sentence } from '../src/text';

describe('what the platform says about an environment', () => {
  const missing = 'failed to get ApplicationSet: applicationsets.argoproj.io "shop" not found';

  it('is told as what it means, with the way out', () => {
    expect(troubleOf(missing, false)).toMatchObject({ title: 'env.trouble.noRepository', way: 'connect' });
    expect(troubleOf(missing, true)).toMatchObject({ title: 'env.trouble.noSet', way: 'repository' });
    expect(troubleOf(missing, undefined).way).toBeUndefined();
    const forbidden = 'failed to get ApplicationSet: applicationsets.argoproj.io "shop" is forbidden: User "x" cannot get resource';
    expect(troubleOf(forbidden, false).title).toBe('env.trouble.forbidden');
  });

  it('is not taken for something that it is not', () => {
    for (const other of ['failed to get secret ci: secrets "ci" not found', 'the quota of applicationsets is used up'])
      expect(troubleOf(other, false)).toEqual({ title: 'env.trouble.other' });
  });
});

it('makes a sentence of the core’s words', () => {
  expect(sentence('no keychain answers on this computer')).toBe('No keychain answers on this computer.');
  expect(sentence('Done.')).toBe('Done.');
});
