import { describe, expect, it } from 'vitest';
import { ago, duration, shortId, t } from '../src/text';
import { en } from '../src/text/en';

const parts = import.meta.glob<Record<string, Record<string, string>>>('../src/text/en/*.ts', { eager: true });

describe('the catalogue', () => {
  it('has each key once', () => {
    const seen = new Map<string, string>();
    for (const [file, module] of Object.entries(parts)) {
      for (const catalogue of Object.values(module)) {
        for (const key of Object.keys(catalogue)) {
          expect(seen.get(key), `${key} is in ${file} too`).toBeUndefined();
          seen.set(key, file);
        }
      }
    }
    expect(seen.size).toBe(Object.keys(en).length);
  });

  it('offers a form for one and a form for many, and never a third', () => {
    for (const [key, text] of Object.entries(en)) {
      if (text.includes('|')) expect(text.split('|'), key).toHaveLength(2);
    }
  });

  it('fills in parameters and chooses by count', () => {
    expect(t('start.connectTo', { name: 'kind-dev' })).toBe('Connect to kind-dev');
    expect(t('kit.problems', { count: 1 })).toBe('1 problem');
    expect(t('kit.problems', { count: 0 })).toBe('0 problems');
    expect(t('start.connectTo', { name: '{name} $& |' })).toBe('Connect to {name} $& |');
  });
});

describe('times and ids', () => {
  const now = Date.parse('2025-03-04T12:00:00Z');

  it.each([
    ['2025-03-04T11:59:40Z', 'just now'],
    ['2025-03-04T11:57:00Z', '3 minutes ago'],
    ['2025-03-03T11:00:00Z', 'yesterday'],
    ['2024-01-04T12:00:00Z', 'last year'],
    ['not a time', 'not a time'],
  ])('%s is %s', (at, words) => expect(ago(at, now)).toBe(words));

  it('says how long', () => {
    expect(duration('2025-03-04T11:00:00Z', '2025-03-04T11:01:20Z')).toBe('1 m 20 s');
    expect(duration('2025-03-04T11:00:00Z', '2025-03-04T13:02:00Z')).toBe('2 h 2 m');
    expect(duration('2025-03-04T11:00:05Z', '2025-03-04T11:00:00Z')).toBe('0 s');
  });

  it('shortens commits and digests', () => {
    expect(shortId('sha256:9f86d081884c7d65')).toBe('9f86d081');
    expect(shortId('4f2a9c1be77d')).toBe('4f2a9c1b');
  });
});
