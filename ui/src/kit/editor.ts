// CodeMirror, set up once for the whole app. Only components that are loaded lazily import this.
import { autocompletion, closeBrackets, closeBracketsKeymap, completeAnyWord, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { yaml } from '@codemirror/lang-yaml';
import { bracketMatching, foldGutter, foldKeymap, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from '@codemirror/language';
import { lintGutter, lintKeymap, setDiagnostics, type Diagnostic as Mark } from '@codemirror/lint';
import { highlightSelectionMatches, searchKeymap } from '@codemirror/search';
import { EditorState, type Extension, type Text } from '@codemirror/state';
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
} from '@codemirror/view';
import { tags } from '@lezer/highlight';
import type { Diagnostic } from '$platform';
import { assistLook } from './editor-assist';
import { endOf, offsetOf } from './places';

const look = EditorView.theme({
  '&': { height: '100%', color: 'var(--ink)', backgroundColor: 'var(--code-bg)', fontSize: 'var(--text-sm)' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--font-mono)', lineHeight: '1.65', overflow: 'auto' },
  '.cm-content': { padding: '8px 0', caretColor: 'var(--accent-ink)' },
  '.cm-cursor': { borderLeftColor: 'var(--accent-ink)', borderLeftWidth: '2px' },
  '.cm-gutters': { backgroundColor: 'var(--code-bg)', color: 'var(--ink-3)', border: 'none' },
  '.cm-activeLine': { backgroundColor: 'color-mix(in srgb, var(--code-active) 70%, transparent)' },
  '.cm-activeLineGutter': { backgroundColor: 'var(--code-active)', color: 'var(--ink)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
    background: 'var(--select-bg)',
  },
  '.cm-selectionMatch': { backgroundColor: 'var(--accent-soft)' },
  '.cm-foldPlaceholder': { color: 'var(--ink-3)', background: 'var(--surface-3)', border: 'none' },
  '.cm-panels': { color: 'var(--ink)', backgroundColor: 'var(--surface-2)', borderColor: 'var(--border)' },
  '.cm-panels input, .cm-panels button': {
    color: 'var(--ink)',
    background: 'var(--surface)',
    border: '1px solid var(--border-strong)',
    borderRadius: '4px',
  },
  '.cm-tooltip': {
    color: 'var(--ink)',
    background: 'var(--surface)',
    border: '1px solid var(--border-strong)',
    borderRadius: '6px',
    boxShadow: 'var(--shadow-2)',
  },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { color: 'var(--ink)', background: 'var(--accent-soft)' },
  '.cm-diagnostic': { fontFamily: 'var(--font-ui)', padding: '5px 10px', borderLeftWidth: '3px' },
  '.cm-diagnostic-error': { borderLeftColor: 'var(--bad)' },
  '.cm-diagnostic-warning': { borderLeftColor: 'var(--warn)' },
  '.cm-diagnostic-info': { borderLeftColor: 'var(--busy)' },
  '.cm-lintRange-error': { backgroundImage: 'none', borderBottom: '2px solid var(--bad)' },
  '.cm-lintRange-warning': { backgroundImage: 'none', borderBottom: '2px dotted var(--warn)' },
  '.cm-lintRange-info': { backgroundImage: 'none', borderBottom: '1px dotted var(--busy)' },
  '.cm-lint-marker': { width: '8px', height: '8px', marginTop: '6px' },
  '.cm-lint-marker-error': { content: 'normal', borderRadius: '50%', backgroundColor: 'var(--bad)' },
  '.cm-lint-marker-warning': { content: 'normal', backgroundColor: 'var(--warn)', transform: 'rotate(45deg)' },
  '.cm-lint-marker-info': { content: 'normal', border: '2px solid var(--busy)', borderRadius: '50%' },
  '&.cm-focused .cm-matchingBracket': { backgroundColor: 'var(--select-bg)' },
  '&.cm-focused .cm-nonmatchingBracket': { backgroundColor: 'var(--bad-soft)' },
  '.cm-changedLine': { backgroundColor: 'var(--accent-soft) !important' },
  // A comment in it has to keep its contrast.
  '.cm-changedText': { background: 'none !important', borderBottom: '2px solid var(--accent)' },
  '.cm-collapsedLines': { color: 'var(--ink-2)', background: 'var(--surface-3)' },
});

const colours = HighlightStyle.define([
  { tag: [tags.definition(tags.propertyName), tags.propertyName], color: 'var(--code-key)' },
  { tag: [tags.string, tags.content], color: 'var(--ink)' },
  { tag: [tags.special(tags.string)], color: 'var(--code-string)' },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: 'var(--code-number)' },
  { tag: [tags.comment, tags.lineComment], color: 'var(--code-comment)', fontStyle: 'italic' },
  { tag: [tags.meta, tags.labelName, tags.typeName], color: 'var(--code-string)' },
  { tag: tags.invalid, color: 'var(--bad)' },
]);

/** What every editor has: keys, history, folding, YAML, colours by tokens. `help` completes instead of known words. */
export function basics(label: string, editable: boolean, help?: Extension): Extension {
  return [
    lineNumbers(),
    foldGutter(),
    highlightSpecialChars(),
    drawSelection(),
    indentUnit.of('  '),
    EditorState.tabSize.of(2),
    bracketMatching(),
    highlightSelectionMatches(),
    yaml(),
    syntaxHighlighting(colours),
    look,
    assistLook,
    EditorView.lineWrapping,
    EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false', autocapitalize: 'off', tabindex: '0' }),
    editable
      ? [
          history(),
          indentOnInput(),
          closeBrackets(),
          lintGutter(),
          help ?? autocompletion({ override: [completeAnyWord], activateOnTyping: false }),
          highlightActiveLine(),
          highlightActiveLineGutter(),
        ]
      : [EditorState.readOnly.of(true), EditorView.contentAttributes.of({ 'aria-readonly': 'true' })],
    keymap.of([
      ...closeBracketsKeymap,
      ...defaultKeymap,
      ...searchKeymap,
      ...historyKeymap,
      ...foldKeymap,
      ...completionKeymap,
      ...lintKeymap,
      indentWithTab,
    ]),
  ];
}

function mark(doc: Text, diagnostic: Diagnostic): Mark {
  // The text may have become shorter since it was checked.
  const line = doc.line(Math.min(Math.max(1, diagnostic.line), doc.lines));
  const at = offsetOf(line.text, diagnostic.column);
  return { from: line.from + at, to: line.from + endOf(line.text, at), severity: diagnostic.severity, message: diagnostic.message };
}

/** Shows what the app found in the text. */
export function showDiagnostics(view: EditorView, diagnostics: Diagnostic[]): void {
  const marks = diagnostics.map((diagnostic) => mark(view.state.doc, diagnostic));
  view.dispatch(setDiagnostics(view.state, marks));
}

export { EditorState, EditorView };
