// Times, ids and the core's words as people read them. Everything takes what the contract gives: RFC 3339 text or Unix seconds.
const LOCALE = 'en-GB';

type Instant = string | number;

function toDate(at: Instant): Date {
  return typeof at === 'number' ? new Date(at * 1000) : new Date(at);
}

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'long' });
const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_557_600],
  ['month', 2_629_800],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
];

/** "3 minutes ago"; under a minute, "just now". */
export function ago(at: Instant, now: number = Date.now()): string {
  const date = toDate(at);
  if (Number.isNaN(date.getTime())) return String(at);
  const seconds = (date.getTime() - now) / 1000;
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return seconds > 5 ? 'in a moment' : 'just now';
}

const SHORT: [string, number][] = [
  ['y', 31_557_600],
  ['mo', 2_629_800],
  ['d', 86_400],
  ['h', 3600],
  ['min', 60],
];

/** "3 d", "5 mo"; under a minute, "now". For places where the exact time is at hand. */
export function agoShort(at: Instant, now: number = Date.now()): string {
  const date = toDate(at);
  if (Number.isNaN(date.getTime())) return String(at);
  const seconds = (now - date.getTime()) / 1000;
  for (const [unit, size] of SHORT) if (seconds >= size) return `${Math.trunc(seconds / size)} ${unit}`;
  return 'now';
}

/** "5 min ago", where there is little room. */
export function agoBrief(at: Instant, now: number = Date.now()): string {
  const age = agoShort(at, now);
  return age === 'now' ? 'just now' : `${age} ago`;
}

/** "14:05". */
export function clock(at: Instant): string {
  return toDate(at).toLocaleTimeString(LOCALE, { hour: '2-digit', minute: '2-digit' });
}

/** "Tuesday, 4 March 2025". */
export function day(at: Instant): string {
  return toDate(at).toLocaleDateString(LOCALE, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
}

/** "4 Mar 2025". */
export function date(at: Instant): string {
  return toDate(at).toLocaleDateString(LOCALE, { day: 'numeric', month: 'short', year: 'numeric' });
}

/** "4 Mar 2025, 14:05". */
export function dateTime(at: Instant): string {
  return toDate(at).toLocaleString(LOCALE, { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' });
}

/** "1 m 20 s". */
export function duration(from: Instant, until: Instant | number = Date.now() / 1000): string {
  const total = Math.max(0, Math.round((toDate(until).getTime() - toDate(from).getTime()) / 1000));
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  const seconds = total % 60;
  if (hours > 0) return `${hours} h ${minutes} m`;
  if (minutes > 0) return `${minutes} m ${seconds} s`;
  return `${seconds} s`;
}

/** A run's name where there is little room: that of a trigger's run ends in many digits. */
export function shortRun(name: string): string {
  return name.replace(/^(trigger-.{6}).+/, '$1…');
}

/** The first eight characters of a commit, or of a digest without its algorithm. */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 8);
}

/** What the core says in the middle of a sentence, as a sentence of its own. */
export function sentence(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1) + (/[.!?]$/.test(words) ? '' : '.');
}
