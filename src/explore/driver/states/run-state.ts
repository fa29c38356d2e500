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

/** What is known of an open call. */
interface CallStory {
  /** The same in every run in which the same task makes the same call, whatever its number there. */
  readonly name: string;
  readonly purpose: CallPurpose;
  /** The label of its context. */
  readonly client: string;
  /** It is made for a request of secure world. */
  readonly passive: boolean;
  /** Where the call stands, by the last thing that happened to it. */
  at: string;
  /** All that its future, its result and its judgement may depend on besides: what secure world and services did for it. */
  lasting: string;
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
  /** Everything whose order may matter. */
  private readonly order = new History();
  private readonly parts: Parts;
  /** Names of actors that are no calls, by what brought them to their points. */
  private readonly arrivals = new WeakMap<HeldActor, string>();
  /** All that was let go, went off and was chosen so far. */
  private history = '';
  private readonly start: number;

  /**
   * From here on: the run must have no open call.
   * @param owners whom each session is of that is open, by the label of its context.
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
    run.trace.listen((event) => this.record(event));
  }

  /** An actor is let go. */
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

  /** What an actor is held before meets nothing that others do. */
  meetsNobody({ actor, step }: HeldActor): boolean {
    if (this.reduction !== 'parts') return false;
    const call = this.callOf(actor);
    return this.parts.meetsNobody(actor, step, call === undefined ? undefined : this.calls.get(call), this.ownerOf);
  }

  /** Something happens that could: it may change anything, for good. */
  strikes(actor: string, what: string): void {
    this.history = chained(this.history, actor, what);
    this.order.touchesAll(this.history);
    if (this.reduction === 'steps' || this.reduction === 'parts') this.reduction = 'queue';
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
    if (this.reduction !== 'steps' && this.reduction !== 'parts') this.order.touchesAll(name);
    const call = this.timerCalls.get(name);
    const story = call === undefined ? undefined : this.calls.get(call);
    if (story !== undefined) {
      story.lasting += `timer ${this.now};`;
      if (story.at === 'rpc') this.inOrder(this.parts.ofRequest(), story.name, 'timer');
    }
    this.cause = { name, call };
  }

  /** The state as a hash; `held`: those among whom one is about to be picked. */
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
        this.happened(
          story,
          event.thread !== undefined && this.reduction !== 'parts' && this.parts.ofRequest(),
          `${event.a0}`,
        );
        break;
      case 'rpc-begin':
        // The second value may be a request's number, or a thread's: a name.
        this.happened(story, this.parts.ofRequest(event.command, event.b), `rpc ${event.command} ${event.a}`);
        break;
      case 'rpc-end':
        this.happened(story, this.parts.ofRequest(event.command), `answer ${event.command} ${event.result}`);
        break;
      case 'call-end':
        this.calls.delete(event.call);
        // The channel of a passive client goes to the next in turn.
        this.happened(story, story.passive && this.parts.ofRequest(), `end ${event.smcReturn}`);
        this.cause = { name: hash('sha256', `${story.name} ${story.lasting}`, 'base64'), call: undefined };
        this.ended.add(this.cause.name);
        break;
      default:
        this.happened(story, undefined, JSON.stringify({ ...event, call: story.name }));
    }
  }

  /** An event that is of no call, or of one that is over. */
  private recordOther(event: TimedTraceEvent): void {
    if (event.type === 'session-open') this.owners.set(event.session, event.context);
    if (this.reduction === 'parts') {
      // Numbers of sessions are names.
      const { session: _, ...what } = { session: 0, ...event };
      this.inOrder(this.parts.ofEvent(event, this.ownerOf), JSON.stringify(what));
    } else if (event.type === 'session-close') {
      // Sessions are numbered in the order in which they were opened, before the run proper; each is closed once.
      this.closedSessions.push(event.session);
    } else if (event.type !== 'invocation') {
      // An invocation says what the call that follows is for.
      this.order.touchesAll(JSON.stringify(event));
    }
  }

  private begin({ call, purpose, system, context }: TimedTraceEvent & { readonly type: 'call-begin' }): void {
    const name = this.effectOf(this.cause.name);
    this.ended.delete(this.cause.name);
    const client = this.run.journal.calls.get(call)?.invocation?.client;
    const passive = client !== undefined && this.run.scenario.clients.get(client)?.passive === true;
    const lasting = `${purpose} ${system} ${this.now};`;
    const story: CallStory = { name, purpose, client: context, passive, at: 'begun', lasting };
    this.calls.set(call, story);
    if (this.reduction === 'parts') this.inOrder(this.parts.ofCall(story), name, purpose);
    // Memory for messages, cancellations: not of the kind that scenarios are made of.
    else if (purpose !== 'invoke' && purpose !== 'close-session') this.order.touchesAll(name, purpose);
  }

  /** @param touches false when the order of it does not matter; undefined when it may touch everything. */
  private happened(story: CallStory, touches: readonly Touch[] | undefined | false, what: string): void {
    story.lasting += `${what} ${this.now};`;
    if (touches !== false) this.inOrder(touches, story.name, what);
  }

  /** @param touches undefined: everything, as all does where parts are not told apart. */
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
