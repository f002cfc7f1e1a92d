import { describe, expect, it } from 'vitest';
import { changeBetween, columnOf, endOf, offsetOf, unified, withEndingsOf } from '../src/kit/places';

describe('columns', () => {
  it('count characters, while offsets count UTF-16 units', () => {
    const line = 'a😀ß: 1';
    expect(offsetOf(line, 1)).toBe(0);
    expect(offsetOf(line, 2)).toBe(1);
    expect(offsetOf(line, 3)).toBe(3);
    expect(columnOf(line, 3)).toBe(3);
    expect(columnOf(line, line.length)).toBe(7);
    for (let column = 1; column <= 7; column++) expect(columnOf(line, offsetOf(line, column))).toBe(column);
  });

  it('stay within the line', () => {
    expect(offsetOf('ab', 99)).toBe(2);
    expect(offsetOf('ab', 0)).toBe(0);
    expect(columnOf('ab', 99)).toBe(3);
  });
});

describe('the end of what is underlined', () => {
  const marked = (line: string, from: number) => line.slice(from, endOf(line, from));

  it('is that of the key or of the value, not of the line', () => {
    expect(marked('  replicaCount: 2 # why', 2)).toBe('replicaCount');
    expect(marked('  replicaCount: 2 # why', 16)).toBe('2');
    expect(marked('image: nginx:1.25', 7)).toBe('nginx:1.25');
    expect(marked('a: "x # y: z" # c', 3)).toBe('"x # y: z"');
    expect(marked("a: 'it''s' # c", 3)).toBe("'it''s'");
    expect(marked('a: {b: *x, c: 2}', 7)).toBe('*x');
    expect(marked('a: {b: *x, c: 2}', 14)).toBe('2');
    expect(marked('a: {b: 1}, d', 0)).toBe('a');
    expect(marked('a:   ', 5)).toBe('');
  });
});

describe('the smallest change', () => {
  const applied = (before: string, after: string) => {
    const { from, to, insert } = changeBetween(before, after);
    return before.slice(0, from) + insert + before.slice(to);
  };

  it('makes the one text of the other', () => {
    for (const [before, after] of [['aaa', 'aa'], ['', 'x'], ['x', ''], ['a: 1\nb: 2\n', 'a: 1\nb: 3\n'], ['😀', '😁'], ['x😀', 'y😀'], ['abab', 'ab']] as const)
      expect(applied(before, after)).toBe(after);
    expect(changeBetween('a: 1\nb: 2\n', 'a: 1\nb: 3\n')).toEqual({ from: 8, to: 9, insert: '3' });
  });

  it('never parts a character', () => {
    expect(changeBetween('😀', '😁')).toEqual({ from: 0, to: 2, insert: '😁' });
  });
});

describe('line endings', () => {
  it('stay as they were on lines that were not touched', () => {
    const before = 'a: 1\r\nb: 2\nc: 3\r\n';
    expect(unified(before)).toBe('a: 1\nb: 2\nc: 3\n');
    expect(withEndingsOf(before, 'a: 1\nb: 2\nc: 3\n')).toBe(before);
    expect(withEndingsOf(before, 'a: 1\nb: 9\nc: 3\n')).toBe('a: 1\r\nb: 9\nc: 3\r\n');
    expect(withEndingsOf(before, 'a: 1\nnew: x\nb: 2\nc: 3\n')).toBe('a: 1\r\nnew: x\r\nb: 2\nc: 3\r\n');
    expect(withEndingsOf(before, 'b: 2\nc: 3\n')).toBe('b: 2\nc: 3\r\n');
    expect(withEndingsOf(before, '')).toBe('');
  });
});
