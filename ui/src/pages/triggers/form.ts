// The trigger editor's form: its conditions as a tree with a group at the root, and where the core's problems belong.
import type { ConditionOperator, ConditionTest, FieldProblem, LabelEntry, TriggerCondition, TriggerForm, TriggerGuards, TriggerTarget, WorkloadEntry } from '$platform';

export type Group = Extract<TriggerCondition, { kind: 'all' | 'any' }>;
export type What = Exclude<TriggerCondition['kind'], 'all' | 'any'>;

export const WHATS: What[] = ['imageChanged', 'replicas', 'label', 'annotation', 'env', 'field', 'jmespath', 'cel'];
export const OPERATORS: ConditionOperator[] = [
  'changed',
  'equals',
  'notEquals',
  'lessThan',
  'lessOrEqual',
  'greaterThan',
  'greaterOrEqual',
  'contains',
  'startsWith',
  'endsWith',
  'matches',
  'in',
  'notIn',
  'exists',
  'absent',
];
/** How deep groups are offered; the core allows a little more. */
export const DEEPEST = 4;

const changed: ConditionTest = { operator: 'changed', values: [], numeric: false };

/** A condition as it begins, when somebody chooses what it is about. */
export function begin(what: What): TriggerCondition {
  const test = { ...changed, values: [] };
  switch (what) {
    case 'imageChanged':
      return { kind: what, containers: [], except: [], among: 'all', part: 'any' };
    case 'replicas':
      return { kind: what, test };
    case 'label':
    case 'annotation':
    case 'jmespath':
      return { kind: what, key: '', test };
    case 'env':
      return { kind: what, name: '', container: null, test };
    case 'field':
      return { kind: what, path: '', test };
    case 'cel':
      return { kind: what, expression: '' };
  }
}

export function isGroup(condition: TriggerCondition): condition is Group {
  return condition.kind === 'all' || condition.kind === 'any';
}

/** The tree with a group at its root, as the editor shows it. */
export function rooted(when: TriggerCondition): Group {
  return isGroup(when) ? when : { kind: 'all', conditions: [when] };
}

/** The condition as it is written: a group of one is that one. */
export function written(root: Group): TriggerCondition {
  return root.conditions.length === 1 ? root.conditions[0]! : root;
}

/** Every test of a tree, in the order in which the core answers for them. */
export function tests(when: TriggerCondition): TriggerCondition[] {
  return isGroup(when) ? when.conditions.flatMap(tests) : [when];
}

/** Where a child of the root is, in the words of the core's problems. */
export function childPath(root: Group, path: string, index: number, isRoot: boolean): string {
  return isRoot && root.conditions.length === 1 ? path : `${path}.${root.kind}[${index}]`;
}

/** The problem of a field, if there is one. */
export function problemAt(problems: FieldProblem[], field: string): string | undefined {
  return problems.find((one) => one.field === field)?.message;
}

/** The problem of a node of the tree that none of its fields has. */
export function problemBelow(problems: FieldProblem[], path: string): string | undefined {
  return problems.find((one) => one.field === path || one.field.startsWith(`${path}.`))?.message;
}

export function needsValue(operator: ConditionOperator): boolean {
  return operator !== 'changed' && operator !== 'exists' && operator !== 'absent';
}

const ORDERS: ConditionOperator[] = ['lessThan', 'lessOrEqual', 'greaterThan', 'greaterOrEqual'];

/** A test with the text that was typed for it. What is compared by size is a number; so are replicas. */
export function withText(test: ConditionTest, text: string, number: boolean): ConditionTest {
  const many = test.operator === 'in' || test.operator === 'notIn';
  const values = many ? words(text) : [text];
  const numeric = (number || ORDERS.includes(test.operator)) && values.every((one) => one.trim() !== '');
  return { ...test, values: needsValue(test.operator) ? values : [], numeric };
}

/** A test with another operator; what was typed stays where it means something. */
export function withOperator(test: ConditionTest, operator: ConditionOperator, number: boolean): ConditionTest {
  return withText({ ...test, operator }, test.values.join(', '), number);
}

/** Names parted by commas. */
export function words(text: string): string[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter(Boolean);
}

/** `a=1, b=2` as pairs; what has no `=` is a key with nothing. */
export function pairs(text: string): LabelEntry[] {
  return words(text).map((one) => {
    const at = one.indexOf('=');
    return at < 0 ? { key: one, value: '' } : { key: one.slice(0, at).trim(), value: one.slice(at + 1).trim() };
  });
}

export function pairWords(all: LabelEntry[]): string {
  return all.map((one) => `${one.key}=${one.value}`).join(', ');
}

export type Unit = 's' | 'm' | 'h';
const SECONDS: Record<Unit, number> = { s: 1, m: 60, h: 3600 };

/** The largest unit in which a span is a whole number. */
export function unitOf(seconds: number): Unit {
  if (seconds > 0 && seconds % 3600 === 0) return 'h';
  return seconds > 0 && seconds % 60 === 0 ? 'm' : 's';
}

export function inUnit(seconds: number, unit: Unit): number {
  return seconds / SECONDS[unit];
}

/** A span as it was typed, in seconds; nothing for what is no number. */
export function spanOf(text: string, unit: Unit): number | undefined {
  if (!/^\d{1,9}$/.test(text.trim())) return undefined;
  return Math.min(Number(text) * SECONDS[unit], 4_294_967_295);
}

export const usualGuards: TriggerGuards = {
  waitForRollout: true,
  rolloutTimeoutSeconds: null,
  soakSeconds: 0,
  cooldownSeconds: 0,
  maxPerDay: null,
  quietHours: null,
  exclusive: 'workload',
  minReadyReplicas: null,
  respectDisruptionBudget: false,
  approval: false,
  dryRun: false,
};

/** A new trigger: the usual guards, and whatever place it was asked from. */
export function newForm(place: { namespace?: string | undefined; name?: string | undefined } = {}): TriggerForm {
  const name = place.name ?? '';
  return {
    name: name ? `test-${name}`.slice(0, 63).replace(/[^a-z0-9]+$/, '') : '',
    project: '',
    workflow: '',
    target: { kind: 'Deployment', namespace: place.namespace ?? '', names: name ? [name] : [], labels: [], annotations: [] },
    when: begin('imageChanged'),
    guards: { ...usualGuards },
    whileAway: 'offer',
    suspended: false,
    seen: null,
  };
}

/** What follows `?` in a path. */
export function asked(path: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(path.split('?')[1] ?? ''));
}

/** The way to a new trigger for one workload, of whatever kind it is in the cluster. */
export function newPath(namespace: string, name: string): string {
  return `/triggers/new?${new URLSearchParams({ namespace, name }).toString()}`;
}

/** The kind that a workload of this name has now; where there are two, the one that the form has already. */
export function kindOf(target: TriggerTarget, workloads: WorkloadEntry[]): string | undefined {
  const [name] = target.names;
  const kinds = workloads.filter((one) => one.namespace === target.namespace && one.name === name).map((one) => one.kind);
  return kinds.includes(target.kind) ? target.kind : kinds[0];
}

/** A form on its way from one page to the editor. */
let handed: TriggerForm | undefined;

export function hand(form: TriggerForm): void {
  handed = form;
}

export function takeHanded(): TriggerForm | undefined {
  const form = handed;
  handed = undefined;
  return form;
}
