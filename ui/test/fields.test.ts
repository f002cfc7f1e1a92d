import { describe, expect, it } from 'vitest';
import type { Diagnostic, ValuesField } from '../src/bindings';
import { groupsOf, isNumber, leafOf, lineOf, matching, parentOf, problemsBy, stepsOf } from '../src/pages/environments/fields';

const field = (path: string, more: Partial<ValuesField> = {}): ValuesField => ({
  path, value: '1', default: '1', source: 'defaults', kind: 'number', allowed: [], description: null, fixed: false, ...more,
});

describe('paths', () => {
  it('are taken apart as Helm writes them', () => {
    expect(stepsOf('a.b[0].c')).toEqual(['a', 'b', '[0]', 'c']);
    expect(stepsOf('annotations.prometheus\\.io/port')).toEqual(['annotations', 'prometheus.io/port']);
    expect(parentOf('annotations.prometheus\\.io/port')).toBe('annotations');
    expect(leafOf('annotations.prometheus\\.io/port')).toBe('prometheus.io/port');
    expect([parentOf('hosts[0].name'), leafOf('hosts[0].name')]).toEqual(['hosts[0]', 'name']);
    expect([parentOf('hosts[10]'), leafOf('hosts[10]')]).toEqual(['hosts', '[10]']);
    expect([parentOf('replicaCount'), leafOf('replicaCount')]).toEqual(['', 'replicaCount']);
  });
});

describe('groups', () => {
  it('stand under their parents, the top first', () => {
    const groups = groupsOf([field('image.tag'), field('replicaCount', { source: 'file' }), field('image.name', { source: 'file' })]);
    expect(groups.map((group) => [group.path, group.fields.length, group.changed])).toEqual([['', 1, 1], ['image', 2, 1]]);
  });

  it('are found by all words of a search, in the description too', () => {
    const fields = [field('a.one', { description: 'How many pods' }), field('b.two', { source: 'file' })];
    expect(matching(fields, 'pods many', false).map((one) => one.path)).toEqual(['a.one']);
    expect(matching(fields, 'pods two', false)).toEqual([]);
    expect(matching(fields, '', true).map((one) => one.path)).toEqual(['b.two']);
  });
});

describe('the line of a key', () => {
  const text = '# top\nname: x\nimage:\n  # tag: no\n  name: y\n  tag: "1"\nhosts:\n- name: a\n  path: /\n- name: b\n  ports:\n    - 80\n    - 81\nannotations:\n  "prometheus.io/port": 1\nlast: |\n  name: z\n';
  it('is found through mappings and lists', () => {
    expect(lineOf(text, 'name')).toBe(2);
    expect(lineOf(text, 'image.name')).toBe(5);
    expect(lineOf(text, 'image.tag')).toBe(6);
    expect(lineOf(text, 'hosts[1].name')).toBe(10);
    expect(lineOf(text, 'hosts[0].path')).toBe(9);
    expect(lineOf(text, 'hosts[1].ports[1]')).toBe(13);
    expect(lineOf(text, 'annotations.prometheus\\.io/port')).toBe(15);
  });
  it('is that of the nearest key above when the text does not have it', () => {
    expect(lineOf(text, 'image.digest')).toBe(3);
    expect(lineOf(text, 'hosts[4].name')).toBe(7);
    expect(lineOf(text, 'nothing.here')).toBeUndefined();
  });
});

describe('numbers', () => {
  it('are those that no reader takes for something else', () => {
    expect(['1', '-2.5', '1e3', ' 7 '].every(isNumber)).toBe(true);
    expect(['', '01', '0x1f', '1_000', 'a', '.5', 'NaN'].some(isNumber)).toBe(false);
  });
});

describe('problems', () => {
  it('stand beside the value they are about, else above its group, else below', () => {
    const fields = [field('replicaCount'), field('service.ports[0].port'), field('service.type'), field('a\\.b')];
    const problem = (path: string | null, message = 'wrong'): Diagnostic => ({ line: 1, column: 1, severity: 'error', code: 'schema', message, path });
    const sorted = problemsBy(
      [problem('replicaCount'), problem('replicaCount', 'and more'), problem('service'), problem('service.ports'), problem('a\\.b'), problem('gone.key'), problem(null)],
      fields,
    );
    expect(Object.fromEntries([...sorted.fields].map(([path, all]) => [path, all.length]))).toEqual({ replicaCount: 2, 'a\\.b': 1 });
    expect([...sorted.groups.keys()]).toEqual(['service', 'service.ports[0]']);
    expect(sorted.rest.map((one) => one.path)).toEqual(['gone.key', null]);
  });
});
