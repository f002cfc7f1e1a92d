// Completion and hints inside CodeMirror, from sources that answer later. All words are put in as text, never as HTML.
import { autocompletion, insertCompletionText, startCompletion, type Completion, type CompletionContext, type CompletionResult } from '@codemirror/autocomplete';
import { StateEffect, StateField, type EditorState, type Extension } from '@codemirror/state';
import { EditorView, hoverTooltip, keymap, showTooltip, type Tooltip } from '@codemirror/view';
import type { CompleteSource, Hint, HoverSource, Suggestion } from './assist';
import { columnOf, endOf, offsetOf } from './places';

/** More than these were cut by the app: another letter asks again. */
const MANY = 200;

function placeOf(state: EditorState, pos: number): { line: number; column: number } {
  const line = state.doc.lineAt(pos);
  return { line: line.number, column: columnOf(line.text, pos - line.from) };
}

function element(tag: string, name: string, words: string): HTMLElement {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = words;
  return made;
}

function suggestion(one: Suggestion): Completion {
  return {
    label: one.label,
    type: one.insert.includes(':') ? 'property' : 'constant',
    ...(one.detail ? { detail: one.detail } : {}),
    ...(one.description ? { info: () => element('div', 'ph-suggestion', one.description) } : {}),
    apply: (view, completion, from, to) => {
      view.dispatch(insertCompletionText(view.state, one.insert, from, to));
      // After a key comes its value or the keys below it.
      if (one.insert !== completion.label && /[:\s]\s*$/.test(one.insert)) startCompletion(view);
    },
  };
}

/** Completion while typing and on Ctrl+Space. */
export function completing(text: (state: EditorState) => string, ask: CompleteSource): Extension {
  const source = async (context: CompletionContext): Promise<CompletionResult | null> => {
    const { state, pos } = context;
    const line = state.doc.lineAt(pos);
    const before = line.text.slice(0, pos - line.from);
    // On its own it opens on a letter or after "key: ", not on spaces that only indent.
    if (!context.explicit && !/[\w"'.-]$|:\s$/.test(before)) return null;
    const { line: number, column } = placeOf(state, pos);
    let found: Suggestion[];
    try {
      found = await ask(text(state), number, column);
    } catch {
      // Help that cannot be had is no reason to disturb the writing.
      return null;
    }
    const first = found[0];
    if (context.aborted || !first) return null;
    return {
      from: line.from + offsetOf(line.text, first.from),
      options: found.filter((one) => one.from === first.from).map(suggestion),
      ...(found.length < MANY ? { validFor: /^[\w.-]*$/ } : {}),
    };
  };
  return autocompletion({ override: [source], activateOnTyping: true, icons: false });
}

function tooltip(state: EditorState, pos: number, hint: Hint): Tooltip {
  const line = state.doc.lineAt(pos);
  const word = /[^\s:]*$/.exec(line.text.slice(0, pos - line.from))![0];
  const from = pos - word.length;
  return {
    pos: from,
    end: Math.max(pos, line.from + endOf(line.text, from - line.from)),
    above: true,
    create: () => {
      const dom = element('div', 'ph-hint-card', '');
      dom.dataset['testid'] = 'editor-hint';
      dom.append(element('p', 'ph-hint-title', hint.title));
      if (hint.text) dom.append(element('p', 'ph-hint-text', hint.text));
      const facts = document.createElement('dl');
      for (const fact of hint.facts) facts.append(element('dt', '', fact.label), element('dd', fact.code ? 'mono' : '', fact.value));
      if (hint.facts.length) dom.append(facts);
      return { dom };
    },
  };
}

const setHint = StateEffect.define<Tooltip | null>();
const asked = StateField.define<Tooltip | null>({
  create: () => null,
  update(shown, change) {
    for (const effect of change.effects) if (effect.is(setHint)) return effect.value;
    return change.docChanged || change.selection ? null : shown;
  },
  provide: (field) => showTooltip.from(field),
});

/** What a word means: on hover, and for the cursor on Ctrl+Shift+Space. */
export function hinting(text: (state: EditorState) => string, ask: HoverSource): Extension {
  async function find(view: EditorView, pos: number): Promise<Tooltip | null> {
    const { state } = view;
    const { line, column } = placeOf(state, pos);
    try {
      const hint = await ask(text(state), line, column);
      return hint && view.state.doc.eq(state.doc) ? tooltip(state, pos, hint) : null;
    } catch {
      return null;
    }
  }
  const show = (view: EditorView): boolean => {
    const at = view.state.selection.main.head;
    void find(view, at).then((found) => {
      if (view.dom.isConnected && view.state.selection.main.head === at) view.dispatch({ effects: setHint.of(found) });
    });
    return true;
  };
  const hide = (view: EditorView): boolean => {
    if (!view.state.field(asked)) return false;
    view.dispatch({ effects: setHint.of(null) });
    return true;
  };
  return [
    asked,
    hoverTooltip((view, pos) => find(view, pos), { hideOnChange: true, hoverTime: 350 }),
    keymap.of([
      { key: 'Ctrl-Shift-Space', run: show },
      { key: 'Escape', run: hide },
    ]),
  ];
}

export const assistLook = EditorView.theme({
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--font-mono)', fontSize: 'var(--text-sm)', maxHeight: '260px', minWidth: '220px', maxWidth: 'min(520px, 60vw)' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { display: 'flex', alignItems: 'baseline', gap: '10px', padding: '3px 10px' },
  '.cm-tooltip-autocomplete .cm-completionLabel': { flex: 'none' },
  '.cm-tooltip-autocomplete .cm-completionDetail': {
    flex: '1',
    marginLeft: '0',
    overflow: 'hidden',
    textOverflow: 'ellipsis',
    color: 'var(--ink-3)',
    fontFamily: 'var(--font-ui)',
    fontStyle: 'normal',
    textAlign: 'right',
  },
  '.cm-completionMatchedText': { color: 'var(--accent-ink)', fontWeight: '600', textDecoration: 'none' },
  '.cm-tooltip.cm-completionInfo': { maxWidth: '320px', padding: '8px 12px', fontFamily: 'var(--font-ui)', lineHeight: '1.5', whiteSpace: 'pre-wrap' },
  '.ph-hint-card': { maxWidth: 'min(460px, 60vw)', maxHeight: '280px', overflow: 'auto', padding: '8px 12px', fontFamily: 'var(--font-ui)', lineHeight: '1.5' },
  '.ph-hint-title': { fontFamily: 'var(--font-mono)', fontWeight: '600', overflowWrap: 'anywhere' },
  '.ph-hint-text': { marginTop: '4px', whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' },
  '.ph-hint-card dl': { display: 'grid', gridTemplateColumns: 'max-content minmax(0, 1fr)', gap: '2px 12px', margin: '6px 0 0' },
  '.ph-hint-card dt': { color: 'var(--ink-3)' },
  '.ph-hint-card dd': { margin: '0', overflowWrap: 'anywhere' },
});
