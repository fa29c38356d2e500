import { hash } from 'node:crypto';
import type { HeldActor } from '../../../clock/controlled-schedule.js';
import type { TimerWatch } from '../../../clock/virtual-clock.js';
import { OpteeSmcReturn } from '../../../protocol/optee-smc.js';
import type { ScenarioRun } from '../../../scenario/run/scenario-run.js';
import type { CallPurpose, TimedTraceEvent } from '../../../trace/trace.js';
import { chained, History } from './history.js';
import { Parts, type Touch } from './parts.js';
import type { Reduction } from './reduction.js';
import type { WatchedQueue } from './watched-queue.js';

/** The record of an open call. */
interface CallRecord {
  /** Equal in every run in which the same task makes the same call, independent of the call's id. */
  readonly name: string;
  readonly purpose: CallPurpose;
  /** The label of its context. */
  readonly client: string;
  /** It is made for a request of secure world. */
  readonly passive: boolean;
  /** The present position of the call, by its last event. */
  at: string;
  /** Everything else on which its future, its result and its verdict may depend: the work that was done for it. */
  lasting: string;
}

/** Steps that are one section under the queue's lock, or a wake-up: they access only the queue and their caller. */
const SECTIONS: ReadonlySet<string> = new Set([
  'enter the queue',
  'wake',
  'requeue-claim',
  'requeue-thread-limit',
  'recheck',
  'thread limit',
]);

/** The cause of an event. */
interface Cause {
  readonly name: string;
  /** The call, if the cause is a call. */
  readonly call: number | undefined;
}

/**
 * The state of a run at a moment at which no work is left, as a text. Two runs have equal states only if they can
 * continue in the same ways with the same verdicts. So everything tried from a state in one run need not be tried from
 * it in another.
 *
 * Compared directly: time; the held actors and their steps; the call queue with all its waiters; timers in the order in
 * which they will fire; the allocated bytes of shared memory; the position of each open call, and what secure world and
 * services did for it. Compared by its complete history, in order: everything that may depend on the order in other
 * ways, such as the supplicant's services, the locks of trusted applications, the channels of passive clients. Left
 * out: the order of steps that concern only the caller, the queue and the table of thread contexts, because the state
 * contains their effect; and the numbers of calls, messages and thread contexts, because they are only names.
 *
 * The name of a call derives from its cause: for the first call of a task its place in the scenario, for each further
 * call the one before.
 */
export class RunState implements TimerWatch {
  private readonly calls = new Map<number, CallRecord>();
  /** What ended calls left with their tasks, until the next call of each task begins. */
  private readonly ended = new Set<string>();
  private readonly closedSessions: number[] = [];
  private readonly timerCalls = new Map<string, number>();
  /** The numbers of calls and timers with the same cause. */
  private readonly effects = new Map<string, number>();
  private cause: Cause = { name: 'start', call: undefined };
  /** The history of everything whose order may matter. */
  private readonly order = new History();
  private readonly parts: Parts;
  /** Names of actors that are not calls, by the cause of their arrival. */
  private readonly arrivals = new WeakMap<HeldActor, string>();
  /** A hash of all releases, timers and choices so far. */
  private history = '';
  private readonly start: number;

  /**
   * Start recording. The run must have no open call.
   * @param owners the label of the context that owns each open session.
   */
  constructor(
    private readonly run: ScenarioRun,
    private readonly queue: WatchedQueue,
    private reduction: Reduction,
    private readonly owners: Map<number, string>,
  ) {
    this.start = run.clock.now();
    this.parts = new Parts(run.scenario);
    run.clock.watch = this;
    run.schedule.onArrival = (held) => {
      if (held.actor.startsWith('call ') || held.actor.startsWith('secure thread ')) return;
      this.arrivals.set(held, this.effectOf(this.cause.name));
      this.ended.delete(this.cause.name);
    };
    run.trace.watch((event) => this.record(event));
  }

  /** An actor is released. */
  goes(held: HeldActor): void {
    const { actor, step } = held;
    this.history = chained(this.history, actor, step);
    const call = this.callOf(actor);
    const story = call === undefined ? undefined : this.calls.get(call);
    if (story === undefined) {
      const name = this.arrivals.get(held) ?? actor;
      this.inOrder(this.parts.ofActor(actor, this.ownerOf), name, step);
      this.cause = { name, call: undefined };
      return;
    }
    const ordered = this.reduction === 'nothing' || (this.reduction !== 'steps' && !SECTIONS.has(step));
    if (ordered) this.inOrder(this.parts.ofStep(story, step), story.name, step);
    if (!actor.startsWith('call ')) story.lasting += `${step};`;
    this.cause = { name: story.name, call };
  }

  /** Whether an actor's next step is independent of all other actors. */
  isIndependent({ actor, step }: HeldActor): boolean {
    if (this.reduction !== 'parts') return false;
    const call = this.callOf(actor);
    return this.parts.isIndependent(actor, step, call === undefined ? undefined : this.calls.get(call), this.ownerOf);
  }

  /** An event happens, such as a fault: it may change anything permanently. */
  strikes(actor: string, what: string): void {
    this.history = chained(this.history, actor, what);
    this.order.touchesAll(this.history);
    if (this.reduction === 'steps' || this.reduction === 'parts') this.reduction = 'queue';
  }

  /** All clients finished and close: the effects of the calls so far have been checked. */
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

  /** A timer fires. */
  fires(name: string): void {
    this.history = chained(this.history, name);
    if (this.reduction !== 'steps' && this.reduction !== 'parts') this.order.touchesAll(name);
    const call = this.timerCalls.get(name);
    const story = call === undefined ? undefined : this.calls.get(call);
    if (story !== undefined) {
      story.lasting += `timer ${this.now};`;
      if (story.at === 'rpc') this.inOrder(this.parts.ofRequest(), story.name, 'timer');
    }
    this.cause = { name, call };
  }

  /** The state as a hash. @param held the actors to choose from. */
  digest(held: readonly HeldActor[]): string {
    const nameOf = (call: number) => this.calls.get(call)?.name ?? `call ${call}`;
    const standing = (one: HeldActor) => {
      const call = this.callOf(one.actor);
      return call === undefined ? (this.arrivals.get(one) ?? one.actor) : nameOf(call);
    };
    const state = [
      this.start,
      this.run.stage,
      this.now,
      held.map((one) => `${standing(one)} ${one.step}`).sort(),
      Array.from(this.calls.values(), ({ name, at, lasting }) => `${name} ${at} ${lasting}`).sort(),
      this.queue.contents(nameOf),
      this.run.clock.pending,
      this.order.contents,
      [...this.closedSessions].sort((one, other) => one - other),
      [...this.ended].sort(),
      this.reduction === 'parts' ? this.run.sharedMemoryPlaces : this.run.sharedMemoryInUse,
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
      this.recordOther(event);
      return;
    }
    switch (event.type) {
      case 'queue-sleep':
        story.at = event.limit ? 'asleep, refused' : 'asleep';
        break;
      case 'queue-wake':
        // A wake-up of a call that does not sleep is recorded in the queue.
        if (event.asleep) story.at = 'woken';
        break;
      case 'rpc-wait':
        // Already in the state.
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
        this.happened(
          story,
          event.thread !== undefined && this.reduction !== 'parts' && this.parts.ofRequest(),
          `${event.a0}`,
        );
        break;
      case 'rpc-begin':
        // The second value may be the number of a request or of a thread, which is only a name.
        this.happened(story, this.parts.ofRequest(event.command, event.b), `rpc ${event.command} ${event.a}`);
        break;
      case 'rpc-end':
        this.happened(story, this.parts.ofRequest(event.command), `answer ${event.command} ${event.result}`);
        break;
      case 'call-end':
        this.calls.delete(event.call);
        // The channel of a passive client passes to the next request.
        this.happened(story, story.passive && this.parts.ofRequest(), `end ${event.smcReturn}`);
        this.cause = { name: hash('sha256', `${story.name} ${story.lasting}`, 'base64'), call: undefined };
        this.ended.add(this.cause.name);
        break;
      default:
        this.happened(story, undefined, JSON.stringify({ ...event, call: story.name }));
    }
  }

  /** Record an event that belongs to no open call. */
  private recordOther(event: TimedTraceEvent): void {
    if (event.type === 'session-open') this.owners.set(event.session, event.context);
    if (this.reduction === 'parts') {
      // Session ids are only names.
      const { session: _, ...what } = { session: 0, ...event };
      this.inOrder(this.parts.ofEvent(event, this.ownerOf), JSON.stringify(what));
    } else if (event.type === 'session-close') {
      // Sessions are numbered in the order of opening, before the main phase; each is closed once.
      this.closedSessions.push(event.session);
    } else if (event.type !== 'invocation') {
      // An invocation only describes the call that follows.
      this.order.touchesAll(JSON.stringify(event));
    }
  }

  private begin({ call, purpose, system, context }: TimedTraceEvent & { readonly type: 'call-begin' }): void {
    const name = this.effectOf(this.cause.name);
    this.ended.delete(this.cause.name);
    const client = this.run.journal.calls.get(call)?.invocation?.client;
    const passive = client !== undefined && this.run.scenario.clients.get(client)?.passive === true;
    const lasting = `${purpose} ${system} ${this.now};`;
    const story: CallRecord = { name, purpose, client: context, passive, at: 'begun', lasting };
    this.calls.set(call, story);
    if (this.reduction === 'parts') this.inOrder(this.parts.ofCall(story), name, purpose);
    // Calls for message memory and cancellations are not described by scenarios.
    else if (purpose !== 'invoke' && purpose !== 'close-session') this.order.touchesAll(name, purpose);
  }

  /** @param touches false: the order does not matter; undefined: it may access everything. */
  private happened(story: CallRecord, touches: readonly Touch[] | undefined | false, what: string): void {
    story.lasting += `${what} ${this.now};`;
    if (touches !== false) this.inOrder(touches, story.name, what);
  }

  /** @param touches undefined: all parts. Without the reduction `parts`, all steps count as that. */
  private inOrder(touches: readonly Touch[] | undefined, ...what: readonly string[]): void {
    const { order } = this;
    if (touches === undefined || this.reduction !== 'parts') order.touchesAll(...what);
    else for (const { part, how } of touches) order[how](part, ...what);
  }

  private effectOf(cause: string): string {
    const count = (this.effects.get(cause) ?? 0) + 1;
    this.effects.set(cause, count);
    return hash('sha256', `${cause} ${count}`, 'base64');
  }

  private readonly ownerOf = (session: number): string | undefined => this.owners.get(session);

  /** The call of an actor at a point; undefined if the actor is not a call. */
  private callOf(actor: string): number | undefined {
    const number = Number(actor.slice(actor.lastIndexOf(' ') + 1));
    if (actor.startsWith('call ')) return number;
    if (!actor.startsWith('secure thread ')) return undefined;
    for (const { id, thread } of this.run.journal.calls.values()) if (thread === number) return id;
    return undefined;
  }
}

/** Characters of base64, 132 bits: the probability of equal digests among a billion states is below 1 in 10^21. */
const DIGEST_LENGTH = 22;
