// Who wrote each line of a text that may have been edited since it was committed. Pure.
import type { CommitEntry, ValuesBlame } from '$platform';
import { originsOf, type LineNote } from '$kit';
import { ago, agoShort, dateTime, shortId, t } from '$text';

const linesOf = (text: string): string[] => text.split(/\r\n?|\n/);

/** The commit of each line; null for one that is written and not committed, undefined for one that nobody can tell. */
export function commitsOf(blame: ValuesBlame, committed: string, text: string): (CommitEntry | null | undefined)[] {
  const known: (CommitEntry | undefined)[] = [];
  for (const range of blame.ranges) {
    const commit = range.commit === null ? undefined : blame.commits[range.commit];
    for (let i = 0; i < range.lines; i++) known[range.first - 1 + i] = commit;
  }
  const now = linesOf(text);
  return originsOf(linesOf(committed), now).map((origin, i) => {
    // What follows the last line feed is no line yet.
    if (i === now.length - 1 && now[i] === '') return undefined;
    return origin === undefined ? null : known[origin];
  });
}

/** What stands beside each line. */
export function notesOf(commits: (CommitEntry | null | undefined)[]): (LineNote | undefined)[] {
  const made = new Map<string, LineNote>();
  const fresh: LineNote = { key: '', text: t('values.blame.fresh'), full: t('values.blame.freshFull'), fresh: true };
  return commits.map((commit) => {
    if (!commit) return commit === null ? fresh : undefined;
    let note = made.get(commit.id);
    if (!note) {
      const text = `${commit.author}, ${agoShort(commit.time)}`;
      const full = t('values.blame.full', { commit: shortId(commit.id), summary: commit.summary, author: commit.author, when: ago(commit.time), at: dateTime(commit.time) });
      made.set(commit.id, (note = { key: commit.id, text, full }));
    }
    return note;
  });
}
