import type { ApplicationNote } from '$platform';
import { t } from '$text';

const TITLES = {
  neverDeployed: 'app.note.neverDeployed',
  staleDigest: 'app.note.staleDigest',
  overridePending: 'app.note.overridePending',
  missingValuesFile: 'app.note.missingValuesFile',
  fileIgnored: 'app.note.fileIgnored',
  sharedFile: 'app.note.sharedFile',
  otherBranch: 'app.note.otherBranch',
  deleting: 'app.note.deleting',
} as const;

/** What is out of the ordinary, as a heading; a code nobody told us about is shown as it is. */
export function noteTitle(note: ApplicationNote): string {
  return note.code in TITLES ? t(TITLES[note.code as keyof typeof TITLES]) : note.code;
}

/** How much it matters. */
export function noteTone(note: ApplicationNote): 'note' | 'warn' | 'bad' {
  if (['neverDeployed', 'deleting'].includes(note.code)) return 'note';
  return ['overridePending', 'fileIgnored', 'sharedFile', 'otherBranch'].includes(note.code) ? 'warn' : 'bad';
}

/** An explanation without the marks that set names apart in plain text. */
export function prose(text: string): string {
  return text.replaceAll('`', '');
}
