// Which line of one text each line of another comes from. Pure.

/** As many pairs of lines as are compared each with each. */
const MOST = 1_000_000;

/** For each line of `now` the number of the line of `before`, from 0, that it is; undefined for one that was written since. */
export function originsOf(before: readonly string[], now: readonly string[]): (number | undefined)[] {
  const most = Math.min(before.length, now.length);
  let head = 0;
  while (head < most && before[head] === now[head]) head++;
  let tail = 0;
  while (tail < most - head && before[before.length - 1 - tail] === now[now.length - 1 - tail]) tail++;
  const old = before.slice(head, before.length - tail);
  const fresh = now.slice(head, now.length - tail);
  const middle = old.length * fresh.length <= MOST ? longest(old, fresh) : unique(old, fresh);
  return now.map((_, i) => {
    if (i < head) return i;
    if (i >= now.length - tail) return i - now.length + before.length;
    const at = middle[i - head];
    return at === undefined ? undefined : at + head;
  });
}

/** By the longest sequence of lines that both have. */
function longest(before: readonly string[], now: readonly string[]): (number | undefined)[] {
  const width = now.length + 1;
  const length = new Uint32Array((before.length + 1) * width);
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      length[i * width + j] = before[i] === now[j] ? length[(i + 1) * width + j + 1]! + 1 : Math.max(length[(i + 1) * width + j]!, length[i * width + j + 1]!);
    }
  }
  const found: (number | undefined)[] = now.map(() => undefined);
  for (let i = 0, j = 0; i < before.length && j < now.length; ) {
    if (before[i] === now[j]) found[j++] = i++;
    else if (length[(i + 1) * width + j]! >= length[i * width + j + 1]!) i++;
    else j++;
  }
  return found;
}

/** By lines that both have once only, and in the same order. */
function unique(before: readonly string[], now: readonly string[]): (number | undefined)[] {
  const once = (lines: readonly string[]): Map<string, number> => {
    const places = new Map<string, number>();
    lines.forEach((line, i) => places.set(line, places.has(line) ? -1 : i));
    return places;
  };
  const [old, fresh] = [once(before), once(now)];
  const found: (number | undefined)[] = now.map(() => undefined);
  let last = -1;
  now.forEach((line, j) => {
    const i = old.get(line) ?? -1;
    if (fresh.get(line) !== j || i <= last) return;
    found[j] = i;
    last = i;
  });
  return found;
}
