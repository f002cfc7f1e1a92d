import { describe, expect, it } from 'vitest';
import type { FieldProblem, TriggerCondition } from '$platform';
import { asked, begin, childPath, hand, inUnit, kindOf, newForm, newPath, pairs, pairWords, problemAt, problemBelow, rooted, spanOf, takeHanded, tests, unitOf, withOperator, withText, written } from '../src/pages/triggers/form';

describe('the tree of conditions', () => {
  const image = begin('imageChanged');
  const label = begin('label');

  it('has a group at its root in the editor, and none of one when it is written', () => {
    expect(rooted(image)).toEqual({ kind: 'all', conditions: [image] });
    expect(written(rooted(image))).toEqual(image);
    const any: TriggerCondition = { kind: 'any', conditions: [image, label] };
    expect(rooted(any)).toBe(any);
    expect(written(rooted(any))).toEqual(any);
  });

  it('names its fields as the core does', () => {
    const one = rooted(image);
    expect(childPath(one, 'when', 0, true)).toBe('when');
    const two = { kind: 'any' as const, conditions: [image, { kind: 'all' as const, conditions: [label] }] };
    expect(childPath(two, 'when', 1, true)).toBe('when.any[1]');
    // A group of one inside of another stays one.
    expect(childPath({ kind: 'all', conditions: [label] }, 'when.any[1]', 0, false)).toBe('when.any[1].all[0]');
    const problems: FieldProblem[] = [{ field: 'when.any[1].all[0].label.key', message: 'name a key' }];
    expect(problemAt(problems, 'when.any[1].all[0].label.key')).toBe('name a key');
    expect(problemBelow(problems, 'when.any[1].all[0].label')).toBe('name a key');
    expect(problemBelow(problems, 'when.any[1].all[0].lab')).toBeUndefined();
  });

  it('tells its tests in order', () => {
    expect(tests({ kind: 'all', conditions: [image, { kind: 'any', conditions: [label, begin('cel')] }] }).map((one) => one.kind)).toEqual(['imageChanged', 'label', 'cel']);
  });
});

describe('what is typed', () => {
  const test = { operator: 'equals' as const, values: [], numeric: false };

  it('is a number where it is compared by size or is about replicas', () => {
    expect(withText(test, '1.10', false)).toEqual({ operator: 'equals', values: ['1.10'], numeric: false });
    expect(withText(test, '3', true).numeric).toBe(true);
    expect(withOperator(withText(test, '3', false), 'greaterThan', false)).toEqual({ operator: 'greaterThan', values: ['3'], numeric: true });
    expect(withOperator(withText(test, 'a, b', false), 'in', false).values).toEqual(['a', 'b']);
    expect(withOperator(withText(test, 'a', false), 'changed', false).values).toEqual([]);
    // An empty number is told by the core as what is missing.
    expect(withText(test, '', true).numeric).toBe(false);
  });

  it('is pairs, with what follows the first sign of equality', () => {
    expect(pairs('app=cart, tier = web,flag')).toEqual([
      { key: 'app', value: 'cart' },
      { key: 'tier', value: 'web' },
      { key: 'flag', value: '' },
    ]);
    expect(pairWords(pairs('a=b=c'))).toBe('a=b=c');
  });

  it('is a span in the largest unit that fits', () => {
    expect([0, 90, 120, 7200].map(unitOf)).toEqual(['s', 's', 'm', 'h']);
    expect(inUnit(7200, 'h')).toBe(2);
    expect(spanOf('5', 'm')).toBe(300);
    expect(spanOf('-1', 's')).toBeUndefined();
    expect(spanOf('1.5', 'h')).toBeUndefined();
    expect(spanOf('999999999', 'h')).toBe(4_294_967_295);
  });
});

describe('the way to the editor', () => {
  it('carries the workload', () => {
    const place = asked(newPath('shop-dev', 'cart'));
    expect(place).toEqual({ namespace: 'shop-dev', name: 'cart' });
    const form = newForm(place);
    expect(form.name).toBe('test-cart');
    expect(form.target).toEqual({ kind: 'Deployment', namespace: 'shop-dev', names: ['cart'], labels: [], annotations: [] });
    expect(newForm({ name: `${'x'.repeat(57)}-yyy` }).name).toBe(`test-${'x'.repeat(57)}`);
  });

  it('leaves what kind the workload is to the cluster', () => {
    const workload = (kind: string, namespace: string, name: string) => ({ kind, namespace, name, images: [], ready: 1, wanted: 1 });
    const { target } = newForm({ namespace: 'shop-dev', name: 'db' });
    expect(kindOf(target, [workload('Deployment', 'shop-qa', 'db'), workload('StatefulSet', 'shop-dev', 'db')])).toBe('StatefulSet');
    expect(kindOf(target, [workload('DaemonSet', 'shop-dev', 'db'), workload('Deployment', 'shop-dev', 'db')])).toBe('Deployment');
    expect(kindOf(target, [workload('Deployment', 'shop-dev', 'cart')])).toBeUndefined();
  });

  it('hands a form over once', () => {
    hand(newForm({ name: 'cart' }));
    expect(takeHanded()?.name).toBe('test-cart');
    expect(takeHanded()).toBeUndefined();
  });
});
