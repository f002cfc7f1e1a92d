import { session } from './session.svelte';

/** Text that was typed and not committed. */
export interface Draft {
  text: string;
  /** The content id the edit started from. */
  baseBlob: string | null;
}

/**
 * Drafts live as long as the window, by what they are a draft of and where: going to another page loses nothing, and
 * a file of another cluster or platform that has the same name has a draft of its own.
 * They are kept in memory only, since values may hold what must not lie on a disk.
 */
class Drafts {
  private kept = $state<Record<string, Draft>>({});

  get(key: string): Draft | undefined {
    return this.kept[here(key)];
  }

  keep(key: string, draft: Draft): void {
    this.kept[here(key)] = draft;
  }

  drop(key: string): void {
    delete this.kept[here(key)];
  }
}

function here(key: string): string {
  const now = session.value;
  return JSON.stringify([now?.practice ?? false, now?.name ?? '', now?.platform ?? '', key]);
}

export const drafts = new Drafts();
