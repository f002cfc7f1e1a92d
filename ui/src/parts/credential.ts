import type { CredentialInput } from '$platform';

/** How a person chooses to be let in. */
export type Way = 'token' | 'generated' | 'keyText' | 'keyFile' | 'agent';

/** What was typed so far; a secret in it lives only as long as the form. */
export interface CredentialDraft {
  way: Way;
  username: string;
  token: string;
  keyText: string;
  keyFile: string;
  passphrase: string;
  keyId: string;
  publicKey: string;
  fingerprint: string;
}

export function emptyCredential(way: Way = 'token'): CredentialDraft {
  return { way, username: '', token: '', keyText: '', keyFile: '', passphrase: '', keyId: '', publicKey: '', fingerprint: '' };
}

/** The command's input, or undefined while something is missing. */
export function credentialOf(draft: CredentialDraft): CredentialInput | undefined {
  const passphrase = draft.passphrase || null;
  switch (draft.way) {
    case 'token':
      return draft.token ? { kind: 'token', username: draft.username.trim() || null, token: draft.token } : undefined;
    case 'keyText':
      return draft.keyText.trim() ? { kind: 'keyText', text: draft.keyText, passphrase } : undefined;
    case 'keyFile':
      return draft.keyFile ? { kind: 'keyFile', path: draft.keyFile, passphrase } : undefined;
    case 'generated':
      return draft.keyId ? { kind: 'generated', keyId: draft.keyId } : undefined;
    case 'agent':
      return { kind: 'agent' };
  }
}

/** HTTPS takes tokens, SSH takes keys; undefined for an address that is neither yet. */
export function transportOf(url: string): 'https' | 'ssh' | undefined {
  if (/^https?:\/\//i.test(url)) return 'https';
  if (/^ssh:\/\//i.test(url) || /^[\w.-]+@[\w.-]+:/.test(url)) return 'ssh';
  return undefined;
}
