import { hash } from 'node:crypto';
import type { HeldActor } from '../../../clock/controlled-schedule.js';
import type { TimerWatch } from '../../../clock/virtual-clock.js';
import { OpteeSmcReturn } from '../../../protocol/optee-smc.js';
import type { ScenarioRun } from '../../../scenario/run/scenario-run.js';
import type { Scenario } from '../../../scenario/scenario.js';
import type { TimedTraceEvent } from '../../../trace/trace.js';
import type { WatchedQueue } from './watched-queue.js';

/** What is known of an open call. */
interface CallStory {
  /** The same in every run in which the same task makes the same call, whatever its number there. */
  readonly name: string;
  /** It is made for a request of secure world. */
  readonly passive: boolean;
  /** Where the call stands, by the last thing that happened to it. */
  at: string;
  /** All that its future, its result and its judgement may depend on besides: what secure world and services did for it. */
  lasting: string;
}

/**
 * How much of a run's history its state may leave out.
 * - `steps`: the order of steps that are between the callers, the queue and the table of thread contexts alone.
 * - `queue`: only that of sections under the queue's lock. For runs in which more has a memory than the explorer knows:
 *   real applications and devices, faults.
 * - `nothing`: every run is one of its own. For times that are drawn from one generator by whoever comes next.
 */
export type Reduction = 'steps' | 'queue' | 'nothing';

/** What a scenario allows. */
export function reductionFor(scenario: Scenario): Reduction {
  if (scenario.preemption.max > 0 || hasMemoryOfItsOwn(scenario)) return 'nothing';
  return isModelled(scenario) && hasUsualFaults(scenario) ? 'steps' : 'queue';
}

/** Locks, processors and a supplicant's threads remember who came first, which no event tells. */
function hasMemoryOfItsOwn({ cpus, locks, supplicant, applications, clients, faults }: Scenario): boolean {
  return (
    cpus !== undefined ||
    locks.size > 0 ||
    supplicant.threads !== Number.POSITIVE_INFINITY ||
    supplicant.loadTa.max > 0 ||
    supplicant.allocate.max > 0 ||
    supplicant.loadTa.rare !== undefined ||
    supplicant.allocate.rare !== undefined ||
    faults.suspends.length > 0 ||
    [...clients.values()].some(({ timeout, applications: its }) => timeout !== undefined || its.length > 1) ||
    [...applications.values()].some(
      (application) =>
        application.kind !== 'shipped' &&
        [...application.commands.values()].flat().some(({ step }) => step === 'hold' || step === 'invoke'),
    )
  );
}

/** Calls do nothing but what is known to leave nothing behind: compute, wait, and ask services that the file describes. */
function isModelled({ applications, secureWorld, emmc, clients }: Scenario): boolean {
  return (
    emmc === undefined &&
    secureWorld.bottomHalf.length === 0 &&
    [...applications.values()].every(
      (application) =>
        application.kind !== 'shipped' &&
        [...application.commands.values()].flat().every(({ step }) => step !== 'await' && step !== 'notify'),
    ) &&
    [...clients.values()].every(
      ({ sessionEachRound, sharedMemory, steps }) =>
        !sessionEachRound &&
        sharedMemory === 0 &&
        steps.every(({ step }) => step === 'invoke' || step === 'wait' || step === 'until'),
    )
  );
}

/** Faults that happen to a request by its place in the order of requests, or to everybody. */
const USUAL_FAULTS: ReadonlySet<string> = new Set(['supplicantAbsent', 'unanswered', 'interruptPeriod']);

function hasUsualFaults({ faults }: Scenario): boolean {
  return Object.entries(faults).every(
    ([name, fault]) => USUAL_FAULTS.has(name) || fault === undefined || (Array.isArray(fault) && fault.length === 0),
  );
}

/** Steps that are one section under the queue's lock, or a wake-up: they touch the queue and their caller. */
const SECTIONS: ReadonlySet<string> = new Set([
  'enter the queue',
  'wake',
  'requeue-claim',
  'requeue-thread-limit',
  'recheck',
  'thread limit',
]);

/** On whose behalf things happen. */
interface Cause {
  readonly name: string;
  /** The call, if it is one. */
  readonly call: number | undefined;
}

/**
 * A run's state, at a moment at which nothing moves of itself, as a text that two runs have in common only when they can go
 * on in the same ways and be judged alike: so what was tried from there in one need not be tried in the other.
 *
 * What is compared exactly: time; who is held before what; the call queue with every waiter in it; timers in the order in
 * which they will go off; bytes of shared memory in use; where each open call stands, and what secure world and services did
 * for it so far. What is compared by its whole history, in order: everything of which another order could leave something
 * else behind, in the supplicant's services, the locks of trusted applications, the channels of passive clients. What is
 * left out: the order of the steps that are between the caller, the queue and the table of thread contexts alone, since
 * their effect is in the state; and the numbers of calls, messages and thread contexts, which are names.
 *
 * Calls get their names from what caused them: the first of a task from its place in the scenario, the next from the one
 * before.
 */
export class RunState implements TimerWatch {
  private readonly calls = new Map<number, CallStory>();
  /** What ended calls have left with their tasks, until the next one begins. */
  private readonly ended = new Set<string>();
  private readonly closedSessions: number[] = [];
  private readonly timerCalls = new Map<string, number>();
  /** How many calls and timers came of each cause. */
  private readonly effects = new Map<string, number>();
  private cause: Cause = { name: 'start', call: undefined };
  /** Everything whose order may matter, as a chain of hashes. */
  private order = '';
  /** All that was let go, went off and was chosen so far. */
  private history = '';
  private readonly start: number;

  /** From here on: the run must have no open call. */
  constructor(
    private readonly run: ScenarioRun,
    private readonly queue: WatchedQueue,
    private reduction: Reduction,
  ) {
    this.start = run.clock.now();
    run.clock.watch = this;
    run.trace.listen((event) => this.record(event));
  }

  /** An actor is let go. */
  goes({ actor, step }: HeldActor): void {
    this.history = chained(this.history, actor, step);
    const call = this.callOf(actor);
    const story = call === undefined ? undefined : this.calls.get(call);
    if (story === undefined) {
      this.inOrder(actor, step);
      this.cause = { name: actor, call: undefined };
      return;
    }
    if (this.reduction === 'nothing' || (this.reduction === 'queue' && !SECTIONS.has(step)))
      this.inOrder(story.name, step);
    if (!actor.startsWith('call ')) story.lasting += `${step};`;
    this.cause = { name: story.name, call };
  }

  /** Something happens that could: it may change anything, for good. */
  strikes(actor: string, what: string): void {
    this.history = chained(this.history, actor, what);
    this.inOrder(this.history);
    if (this.reduction === 'steps') this.reduction = 'queue';
  }

  /** Everybody came through, and goes: what the calls so far have led to is judged already. */
  beginClosing(): void {
    this.cause = { name: 'closing', call: undefined };
    this.ended.clear();
  }

  /** A timer is set. */
  set(): string {
    const name = this.effectOf(this.cause.name);
    if (this.cause.call !== undefined) this.timerCalls.set(name, this.cause.call);
    return name;
  }

  /** A timer goes off. */
  fires(name: string): void {
    this.history = chained(this.history, name);
    if (this.reduction !== 'steps') this.inOrder(name);
    const call = this.timerCalls.get(name);
    const story = call === undefined ? undefined : this.calls.get(call);
    if (story !== undefined) {
      story.lasting += `timer ${this.now};`;
      if (story.at === 'rpc') this.inOrder(story.name, 'timer');
    }
    this.cause = { name, call };
  }

  /** The state as a hash; `held`: those among whom one is about to be picked. */
  digest(held: readonly HeldActor[]): string {
    const nameOf = (call: number) => this.calls.get(call)?.name ?? `call ${call}`;
    const standing = (actor: string) => {
      const call = this.callOf(actor);
      return call === undefined ? actor : nameOf(call);
    };
    const state = [
      this.start,
      this.run.stage,
      this.now,
      held.map(({ actor, step }) => `${standing(actor)} ${step}`).sort(),
      Array.from(this.calls.values(), ({ name, at, lasting }) => `${name} ${at} ${lasting}`).sort(),
      this.queue.contents(nameOf),
      this.run.clock.pending,
      this.order,
      [...this.closedSessions].sort((one, other) => one - other),
      [...this.ended].sort(),
      this.run.sharedMemoryInUse,
    ];
    return hash('sha256', JSON.stringify(state), 'base64').slice(0, DIGEST_LENGTH);
  }

  private get now(): number {
    return this.run.clock.now();
  }

  private record(event: TimedTraceEvent): void {
    if (event.type === 'call-begin') {
      this.begin(event);
      return;
    }
    const story = 'call' in event ? this.calls.get(event.call) : undefined;
    if (story === undefined) {
      // Sessions are numbered in the order in which they were opened, before the run proper; each is closed once.
      if (event.type === 'session-close') this.closedSessions.push(event.session);
      // Says what the call that follows is for.
      else if (event.type === 'invocation') return;
      else this.inOrder(JSON.stringify(event));
      return;
    }
    switch (event.type) {
      case 'queue-sleep':
        story.at = event.limit ? 'asleep, refused' : 'asleep';
        break;
      case 'queue-wake':
        // Given to one that does not sleep, it is noted in the queue.
        if (event.asleep) story.at = 'woken';
        break;
      case 'rpc-wait':
        // Says what is so already.
        break;
      case 'world-enter':
        story.at = 'inside';
        break;
      case 'world-exit':
        if (event.a0 === OpteeSmcReturn.ethreadLimit) {
          story.at = 'refused';
          break;
        }
        story.at = event.thread === undefined ? 'returned' : 'rpc';
        this.happened(story, event.thread !== undefined, `${event.a0}`);
        break;
      case 'rpc-begin':
        // The second value may be a request's number, or a thread's: a name.
        this.happened(story, true, `rpc ${event.command} ${event.a}`);
        break;
      case 'rpc-end':
        this.happened(story, true, `answer ${event.command} ${event.result}`);
        break;
      case 'call-end':
        this.calls.delete(event.call);
        // The channel of a passive client goes to the next in turn.
        this.happened(story, story.passive, `end ${event.smcReturn}`);
        this.cause = { name: hash('sha256', `${story.name} ${story.lasting}`, 'base64'), call: undefined };
        this.ended.add(this.cause.name);
        break;
      default:
        this.happened(story, true, JSON.stringify({ ...event, call: story.name }));
    }
  }

  private begin({ call, purpose, system }: TimedTraceEvent & { readonly type: 'call-begin' }): void {
    const name = this.effectOf(this.cause.name);
    this.ended.delete(this.cause.name);
    const client = this.run.journal.calls.get(call)?.invocation?.client;
    const passive = client !== undefined && this.run.isPassive(client);
    this.calls.set(call, { name, passive, at: 'begun', lasting: `${purpose} ${system} ${this.now};` });
    // Memory for messages, cancellations: not of the kind that scenarios are made of.
    if (purpose !== 'invoke' && purpose !== 'close-session') this.inOrder(name, purpose);
  }

  private happened(story: CallStory, orderMatters: boolean, what: string): void {
    story.lasting += `${what} ${this.now};`;
    if (orderMatters) this.inOrder(story.name, what);
  }

  private inOrder(...what: readonly string[]): void {
    this.order = chained(this.order, ...what);
  }

  private effectOf(cause: string): string {
    const count = (this.effects.get(cause) ?? 0) + 1;
    this.effects.set(cause, count);
    return hash('sha256', `${cause} ${count}`, 'base64');
  }

  /** Whose call it is that stands at a point; undefined when it is none. */
  private callOf(actor: string): number | undefined {
    const number = Number(actor.slice(actor.lastIndexOf(' ') + 1));
    if (actor.startsWith('call ')) return number;
    if (!actor.startsWith('secure thread ')) return undefined;
    for (const { id, thread } of this.run.journal.calls.values()) if (thread === number) return id;
    return undefined;
  }
}

/** Characters of base64, 132 bits: that two of a billion states have one digest is less likely than 1 in 10^21. */
const DIGEST_LENGTH = 22;

function chained(...links: readonly string[]): string {
  return hash('sha256', links.join('\n'), 'base64');
}
