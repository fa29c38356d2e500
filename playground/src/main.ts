import './style.css';
import type { DisciplineName } from '../../src/optee/call-queue/call-queue.js';
import { DISCIPLINES } from '../../src/optee/call-queue/disciplines.js';
import type { ScenarioResult } from '../../src/scenario/scenario-result.js';
import { element } from '../../viewer/src/panel/element.js';
import { duration } from '../../viewer/src/run/short-time.js';
import { scenarioEditor, setText } from './editor.js';
import { explanation } from './explanation.js';
import { packed, type State, unpacked } from './link.js';
import type { Answer, NamedTrace, Task } from './messages.js';
import { Stepper } from './stepper.js';
import { showTimeline } from './timeline-frame.js';

const shipped = import.meta.glob<string>('../../scenarios/**/*.yaml', {
  query: '?raw',
  import: 'default',
  eager: true,
});
const scenarios = new Map(
  Object.entries(shipped).map(([path, text]) => [path.replace(/^.*\/scenarios\/|\.yaml$/g, ''), text] as const),
);
const firstScenario = 'rpmb-scmi-deadlock';
const firstQueues: readonly DisciplineName[] = ['linux-6.7', 'hand-off'];
/** The largest number of runs of an exploration. */
const mostRuns = 2000;

const byId = <T extends HTMLElement>(id: string): T => {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as T;
};

const choice = byId<HTMLSelectElement>('scenario');
const seed = byId<HTMLInputElement>('seed');
const threads = byId<HTMLInputElement>('threads');
const clients = byId<HTMLInputElement>('clients');
const status = byId('status');
const frame = byId<HTMLIFrameElement>('timeline');

let did: State['did'] = null;
let step = 0;
let worker: Worker | undefined;

const editor = scenarioEditor(byId('editor'), () => {
  did = null;
});
const stepper = new Stepper(byId('stepper'), (at) => {
  step = at;
});

for (const name of scenarios.keys()) choice.append(element('option', { value: name }, name));
choice.addEventListener('change', () => load(choice.value));
for (const name of Object.keys(DISCIPLINES)) {
  const box = element('input', { type: 'checkbox', value: name }) as HTMLInputElement;
  byId('queues').append(element('label', {}, box, name));
}
const boxes = () => [...document.querySelectorAll<HTMLInputElement>('#queues input')];
const isDiscipline = (name: string): name is DisciplineName => Object.hasOwn(DISCIPLINES, name);
const chosenQueues = () => boxes().flatMap(({ checked, value }) => (checked && isDiscipline(value) ? [value] : []));

/** A slider at its lowest position means: use the value of the file. */
const slid = ({ value }: HTMLInputElement) => (Number(value) === 0 ? undefined : Number(value));
const showSliders = () => {
  byId('threads-words').textContent = slid(threads) === undefined ? 'as in the file' : threads.value;
  byId('clients-words').textContent = slid(clients) === undefined ? 'as in the file' : `${clients.value} of each kind`;
};
for (const slider of [threads, clients]) slider.addEventListener('input', showSliders);

byId('run').addEventListener('click', () => start('run'));
byId('explore').addEventListener('click', () => start('explore'));
byId('stop').addEventListener('click', () => {
  ended();
  status.textContent = 'Stopped.';
});
byId('link').addEventListener('click', async () => {
  history.replaceState(null, '', await packed(state()));
  status.textContent = 'The address of this page now has the whole state.';
  navigator.clipboard?.writeText(location.href).catch(() => undefined);
});

function load(name: string): void {
  const text = scenarios.get(name);
  if (text !== undefined) setText(editor, text);
}

function state(): State {
  return {
    text: editor.state.doc.toString(),
    seed: Number(seed.value),
    queues: chosenQueues(),
    threads: slid(threads) ?? null,
    clients: slid(clients) ?? null,
    did,
    step,
  };
}

function start(kind: Task['kind']): void {
  ended();
  const queues = chosenQueues();
  if (queues.length === 0) {
    status.textContent = 'Choose a discipline.';
    return;
  }
  byId('results').replaceChildren();
  stepper.show(undefined, 0);
  status.textContent = kind === 'run' ? 'Running.' : `Exploring ${queues[0]}.`;
  worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  byId<HTMLButtonElement>('stop').disabled = false;
  worker.addEventListener('message', ({ data }: MessageEvent<Answer>) => void answered(kind, data));
  worker.addEventListener('error', ({ message }) => void answered(kind, { kind: 'failed', message }));
  const { text, seed: chosenSeed } = state();
  const task: Task = {
    kind,
    text,
    seed: chosenSeed,
    queues,
    threads: slid(threads),
    clients: slid(clients),
    runs: mostRuns,
  };
  worker.postMessage(task);
}

function ended(): void {
  worker?.terminate();
  worker = undefined;
  byId<HTMLButtonElement>('stop').disabled = true;
}

async function answered(kind: Task['kind'], answer: Answer): Promise<void> {
  switch (answer.kind) {
    case 'progress':
      status.textContent = answer.words;
      return;
    case 'failed':
      status.textContent = answer.message;
      break;
    case 'ran':
      status.textContent = '';
      showResult(answer.result);
      await timeline(answer.traces);
      break;
    case 'explored': {
      const { words, counterexample } = answer;
      status.textContent = words.join(' ');
      stepper.show(counterexample, did === 'explore' ? step : 0);
      if (counterexample !== undefined) await timeline([counterexample.trace]);
      break;
    }
    default:
      answer satisfies never;
  }
  did = kind;
  ended();
}

/** The timeline shows two traces at most, one above the other: the first and the last. */
async function timeline(traces: readonly NamedTrace[]): Promise<void> {
  const shown = traces.length > 2 ? [traces[0], traces.at(-1)].flatMap((trace) => trace ?? []) : traces;
  frame.hidden = false;
  await showTimeline(frame, shown);
}

function showResult({ runs }: ScenarioResult): void {
  const rows = runs.map(({ queue, outcome, duration: took, hangsSince, explanation: sentences }) => {
    const since =
      hangsSince === null
        ? `after ${duration(took)}`
        : `${outcome === 'deadlock' ? 'closed at' : 'since'} ${duration(hangsSince)}`;
    return element(
      'details',
      { class: `outcome ${outcome}`, ...(outcome === 'finished' ? {} : { open: '' }) },
      element('summary', {}, element('b', {}, queue), ` ${outcome.replace('-', ' ').toUpperCase()} `, since),
      explanation(sentences),
    );
  });
  byId('results').replaceChildren(...rows);
}

async function begin(): Promise<void> {
  const linked = await unpacked(location.hash);
  const queues = linked?.queues ?? firstQueues;
  for (const box of boxes()) box.checked = queues.includes(box.value);
  const asked = new URLSearchParams(location.search).get('scenario') ?? '';
  const scenario = scenarios.has(asked) ? asked : firstScenario;
  choice.value = scenario;
  if (linked === undefined) load(scenario);
  else {
    setText(editor, linked.text);
    seed.value = String(linked.seed);
    threads.value = String(linked.threads ?? 0);
    clients.value = String(linked.clients ?? 0);
  }
  showSliders();
  document.documentElement.dataset.ready = 'yes';
  if (linked?.did !== null && linked?.did !== undefined) {
    did = linked.did;
    step = linked.step;
    const { did: what } = linked;
    start(what);
    did = what;
    step = linked.step;
  }
}

void begin();
