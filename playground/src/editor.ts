import { autocompletion, type CompletionContext } from '@codemirror/autocomplete';
import { yaml } from '@codemirror/lang-yaml';
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { type Diagnostic, linter, lintGutter } from '@codemirror/lint';
import { tags } from '@lezer/highlight';
import { basicSetup, EditorView } from 'codemirror';
import { DISCIPLINES } from '../../src/optee/call-queue/disciplines.js';
import { parseScenario, ScenarioFileError } from '../../src/scenario/file/scenario-file.js';
import { SERVICES, SHIPPED_APPLICATIONS } from '../../src/scenario/scenario.js';
import { OUTCOMES } from '../../src/scenario/scenario-result.js';

/** Words that a scenario may have, with what they are. */
const words: readonly (readonly [string, readonly string[]])[] = [
  [
    'section',
    [
      'title',
      'about',
      'queues',
      'parameters',
      'expect',
      'limit',
      'preemption',
      'secureWorld',
      'applications',
      'services',
      'emmc',
      'clients',
      'faults',
    ],
  ],
  ['secure world', ['threads', 'announced', 'abi', 'bottomHalf']],
  [
    'application',
    ['kind', 'use', 'singleInstance', 'multiSession', 'concurrent', 'device', 'commands', 'clocks', 'regulators'],
  ],
  [
    'client',
    [
      'application',
      'kernel',
      'system',
      'passive',
      'count',
      'callers',
      'repeat',
      'every',
      'start',
      'deadline',
      'session',
      'sharedMemory',
      'transport',
      'steps',
    ],
  ],
  ['step', ['invoke', 'compute', 'wait', 'rpc', 'await', 'notify', 'never']],
  ['service', ['exclusive', ...Object.keys(SERVICES)]],
  [
    'fault',
    ['unanswered', 'panics', 'supplicant', 'late', 'duplicated', 'corrupted', 'deaths', 'lostThreads', 'interrupts'],
  ],
  ['discipline', Object.keys(DISCIPLINES)],
  ['outcome', OUTCOMES],
  ['application of the package', SHIPPED_APPLICATIONS],
  ['value', ['user', 'pseudo', 'forever', 'each-round', 'smc', 'ffa', 'true', 'false']],
];
const options = words.flatMap(([detail, labels]) => labels.map((label) => ({ label, detail, type: 'keyword' })));

function complete(context: CompletionContext) {
  const word = context.matchBefore(/[\w-]+/);
  if (word === null && !context.explicit) return null;
  return { from: word?.from ?? context.pos, options };
}

/** What is wrong in the text, where it is. */
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

/** Colours of the page's own, light and dark. */
const highlighting = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: 'var(--code-key)' },
  { tag: [tags.string, tags.content, tags.literal], color: 'var(--text)' },
  { tag: [tags.comment, tags.meta], color: 'var(--muted)' },
  { tag: [tags.labelName, tags.typeName, tags.keyword], color: 'var(--accent)' },
]);

/** An editor of scenarios. */
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
  // What scrolls can be scrolled by keys.
  view.scrollDOM.tabIndex = 0;
  return view;
}

export function setText(view: EditorView, text: string): void {
  view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
}
