import type { ApplicationNote } from '$platform';
import { t } from '$text';

const TITLES = {
  neverDeployed: 'app.note.neverDeployed',
  staleDigest: 'app.note.staleDigest',
  overridePending: 'app.note.overridePending',
  missingValuesFile: 'app.note.missingValuesFile',
} as const;

/** What is out of the ordinary, as a heading; a code nobody told us about is shown as it is. */
export function noteTitle(note: ApplicationNote): string {
  return note.code in TITLES ? t(TITLES[note.code as keyof typeof TITLES]) : note.code;
}

/** How much it matters. */
export function noteTone(note: ApplicationNote): 'note' | 'warn' | 'bad' {
  if (note.code === 'neverDeployed') return 'note';
  return note.code === 'overridePending' ? 'warn' : 'bad';
}

/** An explanation without the marks that set names apart in plain text. */
export function prose(text: string): string {
  return text.replaceAll('`', '');
}
