// What an editor asks while one writes in it. Lines and columns count from 1, columns in characters.

/** Something that can be written at the cursor. */
export interface Suggestion {
  /** What takes the place of the letters from `from` to the cursor. */
  insert: string;
  label: string;
  detail: string;
  description: string;
  /** The column at which the replaced letters begin. */
  from: number;
}

/** What is known of the word at a place: a heading, facts by name, and what it is for. */
export interface Hint {
  title: string;
  facts: { label: string; value: string; code: boolean }[];
  text?: string | undefined;
}

export type CompleteSource = (text: string, line: number, column: number) => Promise<Suggestion[]>;
export type HoverSource = (text: string, line: number, column: number) => Promise<Hint | null>;
