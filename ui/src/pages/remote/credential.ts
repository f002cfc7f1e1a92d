import type { CredentialInput, Transport } from '$platform';
import { t } from '$text';

export type CredentialKind = 'token' | 'ssh' | 'none';
export type KeySource = 'keyText' | 'keyFile' | 'generated' | 'agent';

/** What the form holds; secrets live here until they are handed over, and nowhere else on this side. */
export interface CredentialDraft {
  kind: CredentialKind;
  username: string;
  token: string;
  source: KeySource;
  text: string;
  path: string;
  passphrase: string;
  keyId: string;
  publicKey: string;
  fingerprint: string;
}

export function emptyDraft(kind: CredentialKind): CredentialDraft {
  return {
    kind,
    username: '',
    token: '',
    source: 'keyText',
    text: '',
    path: '',
    passphrase: '',
    keyId: '',
    publicKey: '',
    fingerprint: '',
  };
}

export function transportOf(draft: CredentialDraft): Transport {
  return draft.kind === 'ssh' ? 'ssh' : 'https';
}

/** Why the draft cannot be used yet. */
export function missing(draft: CredentialDraft): string | undefined {
  if (draft.kind === 'token') return draft.token ? undefined : t('remote.incomplete.token');
  if (draft.kind === 'none') return undefined;
  switch (draft.source) {
    case 'keyText':
      return draft.text.trim() ? undefined : t('remote.incomplete.keyText');
    case 'keyFile':
      return draft.path ? undefined : t('remote.incomplete.keyFile');
    case 'generated':
      return draft.keyId ? undefined : t('remote.incomplete.generated');
    case 'agent':
      return undefined;
  }
}

/** What is sent to the app. */
export function toInput(draft: CredentialDraft): CredentialInput | null {
  if (draft.kind === 'none' || missing(draft)) return null;
  if (draft.kind === 'token') return { kind: 'token', username: draft.username.trim() || null, token: draft.token };
  switch (draft.source) {
    case 'keyText':
      return { kind: 'keyText', text: draft.text, passphrase: draft.passphrase || null };
    case 'keyFile':
      return { kind: 'keyFile', path: draft.path, passphrase: draft.passphrase || null };
    case 'generated':
      return { kind: 'generated', keyId: draft.keyId };
    case 'agent':
      return { kind: 'agent' };
  }
}

/** Takes the secrets out of a draft that has been handed over. */
export function wipe(draft: CredentialDraft): void {
  draft.token = '';
  draft.text = '';
  draft.passphrase = '';
}

/** Empties a draft whose destination changed: what was typed for one server is never sent to another. */
export function startOver(draft: CredentialDraft): void {
  Object.assign(draft, emptyDraft(draft.kind));
}

/** The server an address leads to, with how it is spoken to; empty for what is no whole address yet. */
export function serverOf(url: string): string {
  const [, scheme, host] = /^\s*(https?|ssh):\/\/(?:[^/?#\s]*@)?([^/?#\s]+)/i.exec(url) ?? [];
  if (scheme && host) return `${scheme}://${host}`.toLowerCase();
  const short = /^\s*[\w.-]+@([\w.-]+):/.exec(url)?.[1];
  return short ? `ssh://${short}`.toLowerCase() : '';
}

/**
 * Takes a password or token out of an address that was typed or pasted: it belongs into the token field and nowhere
 * else. Answers the clean address, and what was in it.
 */
export function splitAddress(text: string): { url: string; username: string; token: string } | undefined {
  const web = /^(\s*https?:\/\/)([^@/?#\s]+)@(.*)$/is.exec(text);
  if (!web) return undefined;
  const [, scheme, userinfo, rest] = web as unknown as [string, string, string, string];
  const colon = userinfo.indexOf(':');
  const first = colon < 0 ? userinfo : userinfo.slice(0, colon);
  const second = colon < 0 ? '' : userinfo.slice(colon + 1);
  const plain = (part: string) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  };
  if (second) return { url: scheme + rest, username: plain(first), token: plain(second) };
  // A token alone stands where the user's name would.
  if (first && looksLikeToken(first)) return { url: scheme + rest, username: '', token: plain(first) };
  return undefined;
}

function looksLikeToken(name: string): boolean {
  return /^(gh[pousr]_|github_pat_|glpat-|gloas-|gldt-|ATBB|ATCTT)/.test(name) || (name.length >= 20 && /\d/.test(name));
}

/** The address without what it hid; that goes into the draft. */
export function takeSecret(text: string, draft: CredentialDraft): string {
  const found = splitAddress(text);
  if (!found) return text;
  draft.kind = 'token';
  draft.token = found.token;
  if (found.username) draft.username = found.username;
  return found.url;
}
