import { describe, expect, it } from 'vitest';
import { match, to } from '../src/state/router.svelte';

describe('paths', () => {
  it('gives back what was put in', () => {
    const path = to('environments', 'a/b', 'dev ü', 'x?y#z');
    expect(match('/environments/:flow/:env/:app', path)).toEqual({ flow: 'a/b', env: 'dev ü', app: 'x?y#z' });
  });

  it('needs the same number of parts', () => {
    expect(match('/environments/:flow', '/environments')).toBeUndefined();
    expect(match('/environments/:flow', '/environments/a/b')).toBeUndefined();
    expect(match('/environments', '/environments/')).toEqual({});
  });

  it('leaves the question out', () => {
    expect(match('/start', '/start?connect=x')).toEqual({});
  });

  it('takes a broken escape for another page', () => {
    expect(match('/environments/:flow', '/environments/%E0%A4%A')).toBeUndefined();
  });
});
