// A column beside an editor's lines with a word on each of them, such as who wrote it.
import { RangeSet, StateEffect, StateField, type Extension } from '@codemirror/state';
import { EditorView, gutter, GutterMarker } from '@codemirror/view';

/** What stands beside a line. Lines that follow each other with the same `key` belong together: the first of them says it. */
export interface LineNote {
  key: string;
  text: string;
  /** The same in full, for the pointer and for the line with the cursor. */
  full: string;
  /** It is about what is being written. */
  fresh?: boolean;
}

type Notes = readonly (LineNote | undefined)[];

class Mark extends GutterMarker {
  constructor(
    private readonly note: LineNote,
    private readonly first: boolean,
  ) {
    super();
  }
  override eq(other: GutterMarker): boolean {
    return other instanceof Mark && other.first === this.first && other.note.key === this.note.key && other.note.full === this.note.full;
  }
  override toDOM(): HTMLElement {
    const made = document.createElement('div');
    made.className = `ph-line-note${this.note.fresh ? ' fresh' : ''}`;
    made.title = this.note.full;
    made.textContent = this.first ? this.note.text : '';
    return made;
  }
}

const setNotes = StateEffect.define<Notes | undefined>();
const held = StateField.define<Notes | undefined>({
  create: () => undefined,
  update: (notes, change) => change.effects.reduce((now, effect) => (effect.is(setNotes) ? effect.value : now), notes),
});

/** The column; it is there while there are notes. `pick` hears of a line whose note was clicked. */
export function lineNotes(pick: (line: number) => void): Extension {
  const lineAt = (view: EditorView, from: number) => view.state.doc.lineAt(from).number;
  return [
    held,
    gutter({
      class: 'ph-line-notes',
      markers: () => RangeSet.empty,
      lineMarker(view, block) {
        const notes = view.state.field(held);
        const no = lineAt(view, block.from);
        const note = notes?.[no - 1];
        return note ? new Mark(note, notes[no - 2]?.key !== note.key) : null;
      },
      lineMarkerChange: (update) => update.docChanged || update.startState.field(held) !== update.state.field(held),
      domEventHandlers: {
        click(view, block) {
          pick(lineAt(view, block.from));
          return true;
        },
      },
    }),
    look,
  ];
}

/** Shows other notes, one for each line, or none at all. */
export function showNotes(view: EditorView, notes: Notes | undefined): void {
  view.dispatch({ effects: setNotes.of(notes) });
}

const look = EditorView.theme({
  '.ph-line-notes': { borderRight: '1px solid var(--border)', marginRight: '2px' },
  '.ph-line-note': {
    boxSizing: 'border-box',
    width: '138px',
    height: '100%',
    padding: '0 8px',
    overflow: 'hidden',
    color: 'var(--ink-3)',
    fontFamily: 'var(--font-ui)',
    fontSize: 'var(--text-xs)',
    lineHeight: 'inherit',
    textOverflow: 'ellipsis',
    whiteSpace: 'nowrap',
    cursor: 'pointer',
  },
  '.ph-line-note:hover': { color: 'var(--ink)', backgroundColor: 'var(--surface-3)' },
  '.ph-line-note.fresh': { color: 'var(--accent-ink)', cursor: 'default' },
});
