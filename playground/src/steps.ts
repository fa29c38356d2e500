import type { DecisionRecorder } from '../../src/explore/driver/decisions.js';
import { judgeRun, noFaults } from '../../src/explore/driver/runs/judge-run.js';
import type { CallQueue, DisciplineName, QueueState } from '../../src/optee/call-queue/call-queue.js';
import { createCallQueue } from '../../src/optee/call-queue/disciplines.js';
import type { Scenario } from '../../src/scenario/scenario.js';
import { CallState, holdsThread, MemoryRecorder, readTrace, Timeline } from '../../src/trace/index.js';
import { sentence } from '../../viewer/src/run/words.js';
import type { NamedTrace, Step } from './messages.js';

/** A recorder that stores the queue's state with each record. */
class WithQueue extends MemoryRecorder {
  readonly states: (QueueState | undefined)[] = [];
  queue: CallQueue | undefined;

  override record(kind: number, time: number, call: number, a: number, b: number, c: number, text: string): void {
    this.states.push(this.queue?.state());
    super.record(kind, time, call, a, b, c, text);
  }
}

/** Repeat a run, and keep the state after each event. */
export async function stepsOf(
  scenario: Scenario,
  queue: DisciplineName,
  seed: number,
  decisions: DecisionRecorder,
): Promise<{ readonly steps: readonly Step[]; readonly trace: NamedTrace }> {
  const record = new WithQueue({ maxBytes: 2 ** 28 });
  await judgeRun(scenario, queue, seed, decisions, noFaults, {
    record,
    createQueue(discipline, threads, reserve) {
      const made = createCallQueue(discipline, threads, reserve);
      record.queue = made;
      return made;
    },
  });
  const bytes = Uint8Array.from(record.toBytes());
  const timeline = new Timeline(readTrace(bytes));
  const { table } = timeline;
  const origin = table.subject.originMs ?? timeline.begin;
  const steps: Step[] = [];
  for (let place = 0; place < table.length; place++) {
    // Leave out the set-up, which opens the sessions.
    if (table.time(place) < origin) continue;
    steps.push(stepAt(timeline, place, origin, record.states[place + 1] ?? record.states[place]));
  }
  return { steps, trace: { name: queue, bytes } };
}

function stepAt(timeline: Timeline, place: number, origin: number, queue: QueueState | undefined): Step {
  const { table } = timeline;
  const events = table.eventsAt(place);
  const open = timeline.stateAfter(place);
  const name = (call: number) => `${timeline.clientOf(call)} #${timeline.callNumber.at(call)}`;
  const numbered = new Map(open.map(({ call }) => [timeline.callNumber.at(call), name(call)]));
  const held = open.filter((segment) => holdsThread(timeline, segment));
  const threads = Array.from({ length: timeline.threads }, (_, thread) => {
    const holder = held.find(({ call }) => timeline.callThread.at(call) === thread);
    if (holder === undefined) return undefined;
    return { call: name(holder.call), doing: holder.state === CallState.rpc ? 'in an RPC' : 'in secure world' };
  });
  const asleep = open
    .filter(({ state }) => state === CallState.queue)
    .sort((one, other) => one.startRecord - other.startRecord)
    .map(({ call }) => name(call));
  const woken = events.flatMap((event) => {
    if (event.type !== 'queue-wake') return [];
    const target = open.find(({ call }) => timeline.callNumber.at(call) === event.call);
    const label = target === undefined ? `call ${event.call}` : name(target.call);
    return [event.asleep ? label : `${label}, which is awake`];
  });
  return {
    time: table.time(place) - origin,
    event: events.map(sentence).join('; '),
    woken,
    threads,
    asleep,
    lists: Object.entries(queue?.lists ?? {}).map(([list, waiters]) => ({
      name: list,
      waiters: waiters.map(
        ({ label, system, completed }) =>
          `${numbered.get(label) ?? label}${system ? ' system' : ''}${completed ? ' +' : ''}`,
      ),
    })),
    counters: Object.entries(queue?.counters ?? {}).map(([counter, value]) => ({ name: counter, value })),
  };
}
