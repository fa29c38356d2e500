import { OpteeSmcRpc } from '../../protocol/optee-smc.js';
import type { BoardVerdict } from '../../trace/linux/board-verdict.js';
import { CallState, type Segment, type Timeline } from '../../trace/timeline/timeline.js';
import { type WaitGraph, waitGraph } from '../../trace/waits/wait-graph.js';
import type { Outcome } from '../scenario-result.js';

/** Limits of a generated scenario; the record may contain more. */
const most = { clients: 100, threads: 64, exactCalls: 20, rpcs: 40 } as const;
/** The longest time in a scenario, in milliseconds. */
const longestMs = 86_400_000;

/** A scenario file, generated from the record of a board, that reproduces the record. */
export interface RecordedScenario {
  readonly text: string;
  /** The expected outcome, if the run does what the board did. */
  readonly outcome: Outcome;
}

/**
 * Generate a scenario from a record. Each task becomes a client with its calls; their compute times and numbers of RPCs
 * become ranges. Calls that were open at the end begin at their recorded time and block at the same place. Linux's
 * tracepoints do not record commands, so an RPC that was answered becomes one for files; one that waits for another
 * call becomes one for the RPMB or for sockets; one that is never answered for an unknown reason becomes one for a
 * plugin.
 */
export function recordedScenario(timeline: Timeline, verdict: BoardVerdict, source: string): RecordedScenario {
  return new ScenarioWriter(timeline, verdict).write(source);
}

interface Task {
  readonly name: string;
  readonly kernel: boolean;
  readonly finished: number[];
  readonly open: number[];
}

const rpcsOfRecord =
  'The record does not show the commands of RPCs: fs stands for one that was answered, rpmb and socket for one that waits for another call, plugin for one that is never answered.';

/** Services for RPCs that wait for another call, by the client that makes that call. */
const needServices = ['rpmb', 'socket'] as const;

/** Names of the kernel's own tasks. A user's daemon may also begin with k and end with d (`keystored`). */
const kernelTask =
  /^(?:kworker\/|irq\/|ksoftirqd\/|kswapd\d|kcompactd\d|khugepaged-|khungtaskd-|kthreadd-|kdevtmpfs-|kauditd-|jbd2\/|mmcqd\/|swapper\/|hwrng-|watchdogd-)/;

class ScenarioWriter {
  private readonly tasks = new Map<string, Task>();
  private readonly graph: WaitGraph;
  private readonly names = new Set<string>();
  /** Calls that another call waits for: passive clients make them. */
  private readonly needed = new Set<number>();
  private readonly services = new Map<string, { readonly service: string; readonly call: number }>();
  /** By call that another one waits for: the client that makes it. */
  private readonly passive = new Map<number, string>();
  private readonly applications: string[] = [];
  private readonly clients: string[] = [];
  private readonly answered: number[] = [];
  private never = false;
  private readonly limit: number;

  constructor(
    private readonly timeline: Timeline,
    private readonly verdict: BoardVerdict,
  ) {
    const last = timeline.table.length - 1;
    const open = timeline.stateAfter(last);
    this.graph = waitGraph(timeline, last, open);
    this.limit = Math.min(longestMs, Math.max(10_000, Math.ceil((timeline.end - timeline.begin) * 2)));
    for (const { kind, on } of this.graph.waits.values())
      if (kind === 'rpc') for (const call of on) this.needed.add(call);
  }

  write(source: string): RecordedScenario {
    const { timeline } = this;
    for (let call = 0; call < timeline.callCount; call++) this.collect(call);
    const tasks = [...this.tasks.values()]
      .sort((one, other) => other.open.length - one.open.length || other.finished.length - one.finished.length)
      .slice(0, most.clients);
    for (const task of tasks) {
      if (task.finished.length > 0) this.finishedCalls(task);
      for (const call of task.open) this.openCall(task, call);
    }
    if (this.clients.length === 0) this.clients.push('  nobody: { application: nothing, steps: [{ wait: 1ms }] }');
    if (this.applications.length === 0) this.applications.push('  nothing: { kind: user, commands: { call: [] } }');
    const services = this.serviceLines();
    const threads = Math.min(Math.max(1, timeline.threads), most.threads);
    const untracked = timeline.threadLimits.length > 0;
    const { outcome } = this.verdict;
    const told = this.verdict.explanation.slice(0, 20).map((line) => `  ${printable(line)}`);
    const left = this.tasks.size - tasks.length;
    const lines = [
      `title: ${JSON.stringify(`Workload of ${printable(source)}`.slice(0, 200))}`,
      'about: |',
      `  Made by \`normalworld trace import\` from a record of Linux's tracepoints. The board's verdict: ${outcome}.`,
      ...told,
      ...(services.length > 0 ? [`  ${rpcsOfRecord}`] : []),
      ...(left > 0 ? [`  ${left} more tasks of the record are omitted.`] : []),
      '',
      // If ETHREAD_LIMIT occurs, the kernel does not track the number of threads.
      `queues: [${untracked ? 'linux-6.7' : 'linux-6.8'}]`,
      `limit: ${time(this.limit)}`,
      `secureWorld: { threads: ${threads}${untracked ? ', announced: 0' : ''} }`,
      'applications:',
      ...this.applications,
      ...(services.length > 0 ? ['services:', ...services] : []),
      'clients:',
      ...this.clients,
      '',
    ];
    return { text: lines.join('\n'), outcome: outcome === 'no-calls' ? 'finished' : outcome };
  }

  private collect(call: number): void {
    const { timeline } = this;
    const client = timeline.clientOf(call);
    let task = this.tasks.get(client);
    if (task === undefined) {
      task = {
        name: this.nameFor(client),
        kernel: kernelTask.test(client),
        finished: [],
        open: [],
      };
      this.tasks.set(client, task);
    }
    if (timeline.isUnfinished(call)) task.open.push(call);
    else task.finished.push(call);
  }

  private nameFor(label: string): string {
    const slug = label
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '');
    const base = (/^[a-z]/.test(slug) ? slug : `task-${slug}`).slice(0, 24).replace(/-+$/, '');
    let name = base;
    for (let number = 2; this.names.has(name); number++) name = `${base}-${number}`;
    this.names.add(name);
    return name;
  }

  /** The finished calls of a task: a few as they were, in sequence; many as one repeated call with ranges. */
  private finishedCalls(task: Task): void {
    const { timeline } = this;
    const shapes = new Map<number, number[]>();
    for (const call of task.finished) {
      const count = Math.min(this.rpcsOf(call), most.rpcs);
      shapes.set(count, [...(shapes.get(count) ?? []), call]);
    }
    const commands = [...shapes].map(([count, calls]) => `call-${count}: [${this.steps(calls, count).join(', ')}]`);
    this.applications.push(`  ${task.name}: { kind: user, commands: { ${commands.join(', ')} } }`);
    const gaps = task.finished
      .slice(1)
      .map((call, index) =>
        Math.max(0, timeline.callBegin.at(call) - timeline.callEnd.at(task.finished[index] ?? call)),
      );
    const invoke = (call: number) => `{ invoke: call-${Math.min(this.rpcsOf(call), most.rpcs)} }`;
    const exact = task.finished.length <= most.exactCalls;
    const pause = (gap: number | undefined) => (gap === undefined || gap < 0.001 ? [] : [`{ wait: ${time(gap)} }`]);
    const steps = exact
      ? task.finished.flatMap((call, index) => [invoke(call), ...pause(gaps[index])])
      : [...shapes.values()].flatMap(([call = 0]) => [invoke(call), `{ wait: ${range(gaps)} }`]);
    const repeat = exact ? 1 : Math.max(1, Math.round(task.finished.length / shapes.size));
    const starves = this.verdict.outcome === 'starved' && !exact;
    this.client(task, task.name, timeline.callBegin.at(task.finished[0] ?? 0), steps, starves ? 'forever' : repeat);
  }

  /** A call that was open at the end of the record: it begins at its recorded time and proceeds to the same place. */
  private openCall(task: Task, call: number): void {
    const { timeline } = this;
    const name = task.finished.length === 0 && task.open[0] === call ? task.name : this.nameFor(`${task.name}-open`);
    const steps = this.openSteps(call);
    this.applications.push(`  ${name}: { kind: user, commands: { call: [${steps.join(', ')}] } }`);
    if (this.needed.has(call)) {
      this.clients.push(`  ${name}: { application: ${name}, kernel: true, passive: true }`);
      this.passive.set(call, name);
      return;
    }
    const asleep = this.graph.waits.get(call)?.segment.state === CallState.queue;
    const waited = timeline.end - timeline.callBegin.at(call);
    const deadline =
      asleep && this.verdict.outcome === 'starved' ? `, deadline: ${time(Math.max(0.001, waited / 10))}` : '';
    // A sleeping call begins after the calls that hold the threads, also if their drawn times are longer.
    const start = asleep ? Math.max(timeline.callBegin.at(call), this.lastEntry() + 1) : timeline.callBegin.at(call);
    this.client(task, name, start, ['{ invoke: call }'], 1, deadline);
  }

  /** The time of the last entry of a call that is still inside. */
  private lastEntry(): number {
    const { timeline } = this;
    let last = timeline.begin;
    for (let call = 0; call < timeline.callCount; call++)
      if (timeline.isUnfinished(call) && timeline.callEntered.at(call) > last) last = timeline.callEntered.at(call);
    return last;
  }

  private client(
    task: Task,
    name: string,
    start: number,
    steps: readonly string[],
    repeat: number | 'forever',
    more = '',
  ): void {
    const offset = start - this.timeline.begin;
    const begins = offset < 0.001 ? '' : `, start: ${time(offset)}`;
    const kernel = task.kernel ? ', kernel: true' : '';
    const repeats = repeat === 1 ? '' : `, repeat: ${repeat}`;
    this.clients.push(
      `  ${name}: { application: ${name}${kernel}${begins}${repeats}${more}, steps: [${steps.join(', ')}] }`,
    );
  }

  private serviceLines(): string[] {
    const lines: string[] = [];
    if (this.answered.length > 0) lines.push(`  fs: { steps: [{ wait: ${range(this.answered)} }] }`);
    for (const { service, call } of this.services.values()) {
      const client = this.passive.get(call);
      const step = client === undefined ? '{ never: true }' : `{ invoke: { client: ${client}, command: call } }`;
      lines.push(`  ${service}: { steps: [${step}] }`);
    }
    if (this.never) lines.push('  plugin: { steps: [{ never: true }] }');
    return lines;
  }

  /** The number of answered RPCs of a call. RPCs that secure world needs for itself count as computation. */
  private rpcsOf(call: number): number {
    let count = 0;
    for (const segment of this.timeline.segmentsOf(call)) if (isCommand(segment)) count++;
    return count;
  }

  /** The steps of finished calls with `count` RPCs: the compute times between them, as ranges. */
  private steps(calls: readonly number[], count: number): string[] {
    const parts: number[][] = Array.from({ length: count + 1 }, () => []);
    for (const call of calls) {
      this.parts(call).forEach((part, index) => {
        parts[Math.min(index, count)]?.push(part);
      });
      for (const segment of this.timeline.segmentsOf(call))
        if (isCommand(segment)) this.answered.push(segment.end - segment.start);
    }
    return parts.flatMap((part, index) => [
      ...(index === 0 ? [] : ['{ rpc: fs }']),
      ...(part.length === 0 ? [] : [`{ compute: ${range(part)} }`]),
    ]);
  }

  private openSteps(call: number): string[] {
    const { timeline } = this;
    const parts = this.parts(call).map((part) => `{ compute: ${time(part)} }`);
    const wait = this.graph.waits.get(call);
    const segments = [...timeline.segmentsOf(call)];
    const last = segments.at(-1);
    const answered = segments.filter((segment) => isCommand(segment) && segment !== last);
    for (const { start, end } of answered) this.answered.push(end - start);
    const steps = parts
      .slice(0, most.rpcs)
      .flatMap((part, index) => [part, ...(index < answered.length ? ['{ rpc: fs }'] : [])]);
    if (last?.state === CallState.rpc) return [...steps, `{ rpc: ${this.serviceOf(wait?.on ?? [])} }`];
    if (last?.state === CallState.secure) return [...steps, `{ compute: ${time(longestMs)} }`];
    return steps.length > 0 ? steps : ['{ compute: 50us }'];
  }

  /** The service whose passive client makes the call that an RPC waits for. */
  private serviceOf([needs]: readonly number[]): string {
    if (needs === undefined) {
      this.never = true;
      return 'plugin';
    }
    const client = this.timeline.clientOf(needs);
    const known = this.services.get(client);
    if (known !== undefined) return known.service;
    const free = needServices.find((name) => ![...this.services.values()].some(({ service }) => service === name));
    // There are more such calls than services: the remaining ones wait for the first client.
    if (free === undefined) return needServices[0];
    this.services.set(client, { service: free, call: needs });
    return free;
  }

  /** Compute times of a call in milliseconds: before its first RPC with a command, between RPCs, and after the last. */
  private parts(call: number): number[] {
    const parts = [0];
    for (const segment of this.timeline.segmentsOf(call)) {
      if (isCommand(segment)) parts.push(0);
      else if (segment.state === CallState.secure || segment.state === CallState.rpc)
        parts[parts.length - 1] =
          (parts.at(-1) ?? 0) +
          (this.timeline.isUnfinished(call) && segment.end >= this.timeline.end ? 0 : segment.end - segment.start);
    }
    return parts;
  }
}

function isCommand({ state, rpcFunction }: Segment): boolean {
  const own: readonly number[] = [OpteeSmcRpc.alloc, OpteeSmcRpc.free, OpteeSmcRpc.foreignInterrupt];
  return state === CallState.rpc && !own.includes(rpcFunction);
}

/** A time as text, at least one microsecond, the shortest time of a scenario. */
function time(ms: number): string {
  const us = Math.max(1, Math.round(Math.min(ms, longestMs) * 1000));
  if (us % 1_000_000 === 0) return `${us / 1_000_000}s`;
  return us % 1000 === 0 ? `${us / 1000}ms` : `${us}us`;
}

function range(values: readonly number[]): string {
  const smallest = values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  const largest = values.reduce((greatest, value) => Math.max(greatest, value), 0);
  const [from, to] = [time(Math.min(smallest, largest)), time(largest)];
  return from === to ? from : `${from}..${to}`;
}

/** Text from an external source, restricted to the characters that a file may contain. */
const printable = (text: string) => text.replace(/[^\x20-\x7e]/g, '?');
