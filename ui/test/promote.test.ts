import { describe, expect, it } from 'vitest';
import type { PromotionRow, PromotionSide } from '../src/bindings';
import { firstChosen, usualPair } from '../src/pages/environments/promote';

const row = (path: string, changedIn: PromotionSide): PromotionRow => ({ path, base: null, source: '1', target: '2', change: 'changed', changedIn });

describe('what is chosen beforehand', () => {
  const rows = [row('a', 'source'), row('b', 'target'), row('c', 'both'), row('d', 'unknown')];

  it('is what changed in the source since, never what the target has on purpose', () => {
    expect([...firstChosen(rows, true)]).toEqual(['a']);
  });

  it('is everything for a file that is to be made', () => {
    expect(firstChosen(rows, false).size).toBe(4);
  });
});

describe('the usual pair', () => {
  const environments = [{ name: 'dev', exists: false }, { name: 'qa', exists: true }, { name: 'prod', exists: true }];

  it('goes from the first environment with a file to the next', () => {
    expect(usualPair(environments)).toEqual({ from: 'qa', to: 'prod' });
    expect(usualPair(environments, 'dev')).toEqual({ from: 'dev', to: 'qa' });
    expect(usualPair(environments, 'prod')).toEqual({ from: 'prod', to: 'dev' });
  });
});
