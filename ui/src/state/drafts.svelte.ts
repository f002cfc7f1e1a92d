/** Text that was typed and not committed. */
export interface Draft {
  text: string;
  /** The content id the edit started from. */
  baseBlob: string | null;
}

/**
 * Drafts live as long as the window, by what they are a draft of: going to another page loses nothing.
 * They are kept in memory only, since values may hold what must not lie on a disk.
 */
class Drafts {
  private kept = $state<Record<string, Draft>>({});

  get(key: string): Draft | undefined {
    return this.kept[key];
  }

  keep(key: string, draft: Draft): void {
    this.kept[key] = draft;
  }

  drop(key: string): void {
    delete this.kept[key];
  }
}

export const drafts = new Drafts();
