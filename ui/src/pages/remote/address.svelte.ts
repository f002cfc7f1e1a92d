// Secrets that are typed for one server, and never sent to another.
import { untrack } from 'svelte';
import { serverOf, startOver, takeSecret, type CredentialDraft } from './credential';

/** Runs `forget` whenever what was typed turns out to be for another destination. For use while a page is set up. */
export function onOtherDestination(destination: () => string, forget: () => void): void {
  let before: string | undefined;
  $effect(() => {
    const now = destination();
    if (before !== undefined && before !== now) untrack(forget);
    before = now;
  });
}

/**
 * An address that a person types or pastes. A token inside it goes into the draft, where tokens belong; once the address
 * is edited into another server's, the draft is emptied.
 */
export class TypedAddress {
  #url = $state('');
  #moved = $state(false);
  readonly #draft: () => CredentialDraft;

  constructor(draft: () => CredentialDraft) {
    this.#draft = draft;
  }

  /** What the field shows. */
  get url(): string {
    return this.#url;
  }

  /** Whether a token was moved out of the address, and is still in the draft. */
  get moved(): boolean {
    return this.#moved && this.#draft().token !== '';
  }

  /** Takes what the field holds now. */
  type(next: string): void {
    const draft = this.#draft();
    const before = serverOf(this.#url);
    if (before && serverOf(next) !== before) {
      startOver(draft);
      this.#moved = false;
    }
    this.#url = takeSecret(next, draft);
    if (this.#url !== next) this.#moved = true;
  }

  /** Empties the field; the draft is the page's own to wipe. */
  clear(): void {
    this.#url = '';
    this.#moved = false;
  }
}
