import { autocompletion, type CompletionContext } from '@codemirror/autocomplete';
import { yaml } from '@codemirror/lang-yaml';
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { type Diagnostic, linter, lintGutter } from '@codemirror/lint';
import { tags } from '@lezer/highlight';
import { basicSetup, EditorView } from 'codemirror';
import { scenarioJsonSchema } from '../../src/scenario/file/json-schema.js';
import { parseScenario, ScenarioFileError } from '../../src/scenario/file/scenario-file.js';
import { completionsAt } from './complete.js';

const schema = scenarioJsonSchema();

function complete(context: CompletionContext) {
  const { state, pos, explicit } = context;
  if (!explicit && context.matchBefore(/[\w-]+/) === null) return null;
  const found = completionsAt(schema, state.doc.toString(), pos);
  if (found === undefined) return null;
  return {
    from: found.from,
    options: found.options.map(({ label, detail }) => ({ label, detail, type: 'keyword' })),
    validFor: /^[\w-]*$/,
  };
}

/** The errors in the text, with their positions. */
function problems(view: EditorView): Diagnostic[] {
  try {
    parseScenario(view.state.doc.toString(), 'scenario');
    return [];
  } catch (error) {
    if (!(error instanceof ScenarioFileError)) throw error;
    return error.problems.map(({ line, column, field, message }) => {
      const at = view.state.doc.line(Math.min(line, view.state.doc.lines));
      const from = Math.min(at.from + column - 1, at.to);
      const word = /^[\w"'$-]+/.exec(view.state.sliceDoc(from, at.to))?.[0].length ?? 0;
      return {
        from,
        to: Math.min(at.to, from + Math.max(1, word)),
        severity: 'error',
        message: field === '' ? message : `${field}: ${message}`,
      };
    });
  }
}

/** Syntax colours from the page's style sheet, for light and dark mode. */
const highlighting = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: 'var(--code-key)' },
  { tag: [tags.string, tags.content, tags.literal], color: 'var(--text)' },
  { tag: [tags.comment, tags.meta], color: 'var(--muted)' },
  { tag: [tags.labelName, tags.typeName, tags.keyword], color: 'var(--accent)' },
]);

/** Create an editor for scenarios. */
export function scenarioEditor(parent: HTMLElement, changed: () => void): EditorView {
  const view = new EditorView({
    parent,
    extensions: [
      basicSetup,
      yaml(),
      syntaxHighlighting(highlighting),
      autocompletion({ override: [complete] }),
      lintGutter(),
      linter(problems, { delay: 200 }),
      EditorView.lineWrapping,
      EditorView.contentAttributes.of({ 'aria-label': 'Scenario, in YAML' }),
      EditorView.updateListener.of((update) => update.docChanged && changed()),
    ],
  });
  // Scrollable elements need focus to be scrolled by keys.
  view.scrollDOM.tabIndex = 0;
  return view;
}

export function setText(view: EditorView, text: string): void {
  view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
}
