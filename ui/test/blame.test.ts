import { describe, expect, it } from 'vitest';
import { originsOf } from '../src/kit/line-origins';
import { commitsOf, notesOf } from '../src/pages/environments/blame';
import { agoShort } from '../src/text';

describe('where a line comes from', () => {
  it.each([
    ['nothing changed', 'abc', 'abc', [0, 1, 2]],
    ['a line was put in', 'abc', 'axbc', [0, undefined, 1, 2]],
    ['a line went', 'abcd', 'abd', [0, 1, 3]],
    ['a line was rewritten', 'abc', 'axc', [0, undefined, 2]],
    ['lines that look alike', 'aab', 'aaab', [0, 1, undefined, 2]],
    ['two places at once', 'abcdef', 'abxdyf', [0, 1, undefined, 3, undefined, 5]],
    ['a line moved', 'abcd', 'acbd', [0, 2, undefined, 3]],
    ['everything is new', '', 'ab', [undefined, undefined]],
  ])('%s', (_, before, now, expected) => {
    expect(originsOf([...before], [...now])).toEqual(expected);
  });

  it('is told of long texts too, by the lines that are there once', () => {
    const before = Array.from({ length: 4000 }, (_, i) => `key-${i}: 1`);
    const now = ['# new', ...before.slice(1).map((line, i) => (i % 50 === 0 ? `${line}0` : line)), '# end'];
    const found = originsOf(before, now);
    expect(found[0]).toBeUndefined();
    expect(found[1]).toBeUndefined();
    expect(found[2]).toBe(2);
    expect(found[3999]).toBe(3999);
    expect(found[4000]).toBeUndefined();
  });
});

describe('who wrote each line', () => {
  const commit = (id: string, author: string) => ({ id: id.repeat(40), summary: `By ${author}`, author, time: '2026-03-01T10:00:00Z' });
  const [ada, sam] = [commit('a', 'Ada'), commit('b', 'Sam')];
  const blame = { ranges: [{ first: 1, lines: 2, commit: 0 }, { first: 3, lines: 1, commit: 1 }, { first: 4, lines: 1, commit: null }], commits: [ada, sam] };

  it('stays with its line while others are written', () => {
    const committed = 'a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n';
    const found = commitsOf(blame, committed, '# note\na: 1\nb: 20\nc: 3\nd: 4\n');
    expect(found.map((one) => one && one.author)).toEqual([null, 'Ada', null, 'Sam', undefined, undefined]);
    const notes = notesOf(found);
    expect(notes[0]).toMatchObject({ fresh: true, text: 'Not committed' });
    expect(notes[1]!.text).toMatch(/^Ada, \d+ (min|h|d|mo|y)$|^Ada, now$/);
    expect(notes[1]!.full).toContain('By Ada');
    expect(notes[1]!.full).toContain('aaaaaaaa');
    expect(notes[4]).toBeUndefined();
  });
});

it('says how long ago in a word', () => {
  const now = Date.parse('2026-03-10T12:00:00Z');
  for (const [time, words] of [
    ['2026-03-10T11:59:40Z', 'now'],
    ['2026-03-10T11:55:00Z', '5 min'],
    ['2026-03-10T02:00:00Z', '10 h'],
    ['2026-03-07T12:00:00Z', '3 d'],
    ['2025-12-01T00:00:00Z', '3 mo'],
    ['2023-03-01T00:00:00Z', '3 y'],
    ['no time', 'no time'],
  ] as const)
    expect(agoShort(time, now)).toBe(words);
});
