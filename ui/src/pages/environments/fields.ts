// Fields of a values file in the groups of their parents, and where their keys stand in the text. Pure.
import type { Diagnostic, ValuesField } from '$platform';

/** Fields below one key. */
export interface FieldGroup {
  /** The parent's path; empty for the top of the file. */
  path: string;
  fields: ValuesField[];
  /** How many are not the chart's default. */
  changed: number;
}

/** The steps of a path as Helm writes it: `a.b[0].c\.d` is `a`, `b`, `[0]`, `c.d`. */
export function stepsOf(path: string): string[] {
  const steps: string[] = [];
  let step = '';
  for (let i = 0; i < path.length; i++) {
    const ch = path[i]!;
    if (ch === '\\' && i + 1 < path.length) step += path[++i]!;
    else if (ch === '.') {
      if (step) steps.push(step);
      step = '';
    } else if (ch === '[') {
      if (step) steps.push(step);
      const end = path.indexOf(']', i);
      steps.push(path.slice(i, end + 1));
      step = '';
      i = end < 0 ? path.length : end;
    } else step += ch;
  }
  if (step) steps.push(step);
  return steps;
}

/** Where the last step of a path begins. */
function lastStep(path: string): number {
  if (path.endsWith(']') && path[path.lastIndexOf('[') - 1] !== '\\') return path.lastIndexOf('[');
  for (let i = path.length - 1; i >= 0; i--) {
    if (path[i] === '.') {
      let escapes = 0;
      while (path[i - 1 - escapes] === '\\') escapes++;
      if (escapes % 2 === 0) return i + 1;
    }
  }
  return 0;
}

/** The path above a path; empty at the top. */
export function parentOf(path: string): string {
  return path.slice(0, lastStep(path)).replace(/\.$/, '');
}

/** A path's last step, as one reads it. */
export function leafOf(path: string): string {
  return path.slice(lastStep(path)).replace(/\\(.)/g, '$1');
}

/** The fields by their parents, in the order of the text; those that stand at the top come first. */
export function groupsOf(fields: ValuesField[]): FieldGroup[] {
  const groups = new Map<string, FieldGroup>();
  for (const field of fields) {
    const path = parentOf(field.path);
    let group = groups.get(path);
    if (!group) groups.set(path, (group = { path, fields: [], changed: 0 }));
    group.fields.push(field);
    if (field.source === 'file') group.changed++;
  }
  return [...groups.values()].sort((a, b) => Number(a.path !== '') - Number(b.path !== ''));
}

/** Problems by the field they are about, by the group whose key they are about, and those that neither shows. */
export interface SortedProblems {
  fields: Map<string, Diagnostic[]>;
  groups: Map<string, Diagnostic[]>;
  rest: Diagnostic[];
}

/** Puts the problems of a text where its form can show them. */
export function problemsBy(problems: Diagnostic[], fields: ValuesField[]): SortedProblems {
  const sorted: SortedProblems = { fields: new Map(), groups: new Map(), rest: [] };
  const paths = new Set(fields.map((field) => field.path));
  const parents = [...new Set(fields.map((field) => parentOf(field.path)))];
  for (const one of problems) {
    const path = one.path;
    // A mapping or a list is shown as the group of what is directly below it, or else as the first one further below.
    const group = path === null || paths.has(path) ? undefined : (parents.find((parent) => parent === path) ?? parents.find((parent) => parent.startsWith(`${path}.`) || parent.startsWith(`${path}[`)));
    const [into, at] = path !== null && paths.has(path) ? [sorted.fields, path] : [sorted.groups, group];
    if (at === undefined) sorted.rest.push(one);
    else into.set(at, [...(into.get(at) ?? []), one]);
  }
  return sorted;
}

/** The fields whose path or description has every word, and, if asked, that the file sets. */
export function matching(fields: ValuesField[], search: string, changed: boolean): ValuesField[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return fields.filter((field) => {
    if (changed && field.source !== 'file') return false;
    const text = `${field.path} ${field.description ?? ''}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/**
 * The line, from 1, of a key in a text of block style; of the nearest key above it that the text has. Undefined when it
 * has none of them.
 */
export function lineOf(text: string, path: string): number | undefined {
  const steps = stepsOf(path);
  const lines = text.split(/\r\n?|\n/);
  let found: number | undefined;
  let depth = 0;
  let above = -1;
  let column: number | undefined;
  let item = -1;
  for (const [i, line] of lines.entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    let indent = line.length - line.trimStart().length;
    let rest = line.slice(indent);
    // "- - key: value" opens a list item for each dash.
    for (;;) {
      const dash = /^-(\s+|$)/.exec(rest);
      const want = steps[depth];
      if (indent < above || (indent === above && !dash)) return found;
      if (column === undefined && (indent > above || dash)) column = indent;
      if (dash && want?.startsWith('[') && indent === column) {
        item++;
        if (`[${item}]` === want) {
          found = i + 1;
          depth++;
          above = indent;
          column = undefined;
          item = -1;
          if (depth === steps.length) return found;
        }
      }
      if (!dash) break;
      indent += dash[0].length;
      rest = rest.slice(dash[0].length);
    }
    const want = steps[depth];
    if (want === undefined || want.startsWith('[') || indent !== column) continue;
    const key = /^(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)'|([^\s"'#][^#]*?))\s*:(?:\s|$)/.exec(rest);
    if (key && (key[1] ?? key[2] ?? key[3]) === want) {
      found = i + 1;
      depth++;
      above = indent;
      column = undefined;
      item = -1;
      if (depth === steps.length) return found;
    }
  }
  return found;
}

/** A JSON number, which is what a number of YAML that nobody mistakes looks like. */
export function isNumber(text: string): boolean {
  return /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text.trim());
}
