// Where things are in a text. The app counts lines and characters from 1; CodeMirror counts UTF-16 units from 0, so that
// a character outside the first plane (an emoji) is two of them.

/** The UTF-16 offset within a line at which a column begins; the line's end for one that is beyond it. */
export function offsetOf(line: string, column: number): number {
  let offset = 0;
  for (let left = column - 1; left > 0 && offset < line.length; left--) offset += line.codePointAt(offset)! > 0xffff ? 2 : 1;
  return offset;
}

/** The column, from 1, of a UTF-16 offset within a line. */
export function columnOf(line: string, offset: number): number {
  let column = 1;
  for (let at = 0; at < Math.min(offset, line.length); column++) at += line.codePointAt(at)! > 0xffff ? 2 : 1;
  return column;
}

/** Where that ends which begins at an offset of a line of YAML: a key without its colon, a value without its comment. */
export function endOf(line: string, from: number): number {
  const rest = line.slice(from);
  const quoted = /^"(?:[^"\\]|\\.)*"|^'(?:[^']|'')*'/.exec(rest);
  if (quoted) return from + quoted[0].length;
  // Between brackets a comma or the closing one ends it too.
  const before = line.slice(0, from);
  const flow = before.split(/[[{]/).length > before.split(/[\]}]/).length;
  const stop = rest.search(flow ? /:(?:\s|$)|\s#|[,\]}]/ : /:(?:\s|$)|\s#/);
  const word = (stop < 0 ? rest : rest.slice(0, stop)).trimEnd();
  return from + (word.length || rest.trimEnd().length);
}

/** The smallest change that makes one text of another. */
export function changeBetween(before: string, after: string): { from: number; to: number; insert: string } {
  const most = Math.min(before.length, after.length);
  let from = 0;
  while (from < most && before.charCodeAt(from) === after.charCodeAt(from)) from++;
  // Not between the two halves of one character.
  if (from > 0 && /[\ud800-\udbff]/.test(before[from - 1]!)) from--;
  let same = 0;
  while (same < most - from && before.charCodeAt(before.length - 1 - same) === after.charCodeAt(after.length - 1 - same)) same++;
  if (same > 0 && /[\udc00-\udfff]/.test(before[before.length - same]!)) same--;
  return { from, to: before.length - same, insert: after.slice(from, after.length - same) };
}

const ENDS = /\r\n?|\n/g;

/** The text as CodeMirror holds it: every line ends with a line feed. */
export function unified(text: string): string {
  return text.includes('\r') ? text.replace(ENDS, '\n') : text;
}

/** An edited text, unified, with the line endings of the text it was made of. New lines end as most do. */
export function withEndingsOf(before: string, edited: string): string {
  if (!before.includes('\r')) return edited;
  const ends = before.match(ENDS) ?? [];
  const old = unified(before).split('\n');
  const now = edited.split('\n');
  const windows = ends.filter((end) => end === '\r\n').length;
  const usual = windows * 2 >= ends.length ? '\r\n' : '\n';
  let head = 0;
  while (head < Math.min(old.length, now.length) && old[head] === now[head]) head++;
  let tail = 0;
  while (tail < Math.min(old.length, now.length) - head && old[old.length - 1 - tail] === now[now.length - 1 - tail]) tail++;
  const shift = old.length - now.length;
  return now
    .map((line, i) => {
      if (i === now.length - 1) return line;
      const known = i < head || shift === 0 ? ends[i] : i >= now.length - tail ? ends[i + shift] : undefined;
      return line + (known ?? usual);
    })
    .join('');
}
