import type { CallWaiter } from '../../../optee/call-queue/call-queue.js';
import { OpteeSmcReturn } from '../../../protocol/optee-smc.js';
import type { CallPurpose, TimedTraceEvent } from '../../../trace/trace.js';
import { reserveRules } from '../../queue/properties/reserve-rules.js';
import type { WatchedQueue } from '../states/watched-queue.js';

/** The parts of a run that the checks of relief calls use. */
export interface ReliefSurroundings {
  readonly queue: () => WatchedQueue | undefined;
  /** One thread is reserved for relief calls. */
  readonly reserve: boolean;
  /** The number of free threads of secure world. */
  readonly freeThreads: () => number;
  readonly says: (what: string) => void;
}

interface OpenCall {
  readonly purpose: CallPurpose;
  readonly session: number;
  /** The application of its session; undefined if it has no session yet. */
  readonly application: string | undefined;
  /** Whether it entered the queue as a relief call. */
  relief: boolean;
  /** Whether it holds a claim. */
  claims: boolean;
}

/** The numbers of claims by class, as far as the discipline has classes. */
interface Claims {
  normal: number;
  system: number;
  relief: number;
}

/**
 * A relief call must not wait behind a call that it would end or wake, if there are enough threads. Relief calls end or
 * wake other calls, or release resources that these may wait for; they are recognised by their purpose, or if that is
 * ambiguous, by the class in which the driver enters them. A relief call must not sleep while a thread that it may use
 * is free; no other call may get this thread in the meantime; and no other call may get the thread reserved for relief
 * calls. What a relief call may use follows from the discipline's rules for its reserves.
 */
export class ReliefChecks {
  private readonly calls = new Map<number, OpenCall>();
  /** The application of each session, by session id. */
  private readonly applications = new Map<number, string>();
  /** Calls in secure world. */
  private readonly inside = new Set<number>();
  /** Without a thread count: calls that entered while a relief call slept. A violation, unless they are refused. */
  private readonly passing = new Set<number>();
  /**
   * Sessions with a cancellation that entered as a relief call; and sessions with one that did not, although there was
   * a call to cancel.
   */
  private readonly relieved = new Set<number>();
  private readonly unrelieved = new Map<number, number>();

  constructor(private readonly run: ReliefSurroundings) {}

  /** Watch this queue from now on. */
  watch(queue: WatchedQueue): void {
    queue.onEnter = (label, relief) => this.enters(queue, label, relief);
    queue.onSection = () => this.section(queue);
  }

  readonly listen = (event: TimedTraceEvent): void => {
    switch (event.type) {
      case 'session-open':
        this.applications.set(event.session, event.uuid);
        break;
      case 'call-begin': {
        const { call, purpose, session } = event;
        this.calls.set(call, {
          purpose,
          session,
          application: this.applications.get(session),
          relief: false,
          claims: false,
        });
        break;
      }
      case 'world-enter':
        this.goesIn(event.call);
        break;
      case 'world-exit':
        if (event.thread === undefined) this.inside.delete(event.call);
        this.wasIn(event.call, event.a0);
        break;
      case 'call-end':
        this.inside.delete(event.call);
        this.wasIn(event.call, event.smcReturn);
        this.calls.delete(event.call);
        break;
      default:
        break;
    }
  };

  /** Only time can advance now. */
  still(): void {
    const queue = this.run.queue();
    if (queue === undefined || this.run.freeThreads() === 0) return;
    for (const waiter of this.sleepers(queue))
      if (queue.queue.allows(waiter) || this.mayHave(queue, waiter, this.claims(queue))) {
        this.run.says(`${this.name(waiter.label)} sleeps although a thread is free, and no call is about to wake it`);
        return;
      }
  }

  /** The run has ended. */
  atEnd(): void {
    for (const [session, call] of this.unrelieved)
      if (!this.relieved.has(session))
        this.run.says(
          `call ${call} (cancel) entered as an ordinary call, although it is the first cancellation in its session`,
        );
  }

  private enters({ sortsOwnCalls }: WatchedQueue, label: number, relief: boolean): void {
    const call = this.calls.get(label);
    if (call === undefined) return;
    const must = this.mustBeRelief(label, call);
    if (sortsOwnCalls && must !== undefined && must !== relief)
      this.run.says(`${this.name(label)} enters as ${relief ? 'a relief call' : 'an ordinary call'}`);
    call.relief = must ?? relief;
    if (!sortsOwnCalls || call.purpose !== 'cancel') return;
    if (relief) this.relieved.add(call.session);
    else if (this.others(label).some(({ purpose, session }) => purpose === 'invoke' && session === call.session))
      this.unrelieved.set(call.session, label);
  }

  /**
   * Undefined if it cannot be decided here: of several cancellations one is a relief call, the one that the driver
   * processed first.
   */
  private mustBeRelief(label: number, { purpose, application }: OpenCall): boolean | undefined {
    switch (purpose) {
      case 'bottom-half':
      case 'unregister-shm':
        return true;
      case 'invoke':
      case 'open-session':
      case 'stop-notifications':
        return false;
      case 'close-session': {
        for (const call of this.inside)
          if (call !== label && this.calls.get(call)?.application === application) return false;
        // The application of an opening is not known here.
        const others = this.others(label);
        const same = others.some((other) => other.purpose === 'open-session' || other.application === application);
        return same ? undefined : true;
      }
      // The registration of a page for messages enters in the class of the call that needs it.
      case 'register-shm':
      case 'cancel':
      case 'unknown':
        return undefined;
      default:
        return purpose satisfies never;
    }
  }

  private others(label: number): OpenCall[] {
    return [...this.calls].flatMap(([other, call]) => (other === label ? [] : [call]));
  }

  /** A section of the queue was executed, which may have given a thread to a caller. */
  private section(queue: WatchedQueue): void {
    for (const waiter of queue.callers) {
      const call = this.calls.get(waiter.label);
      if (call === undefined) continue;
      const claimed = call.claims;
      call.claims = queue.queue.holdsClaim(waiter);
      if (call.claims && !claimed && !call.relief) this.givenToOther(queue, waiter);
    }
  }

  /** A call that is not a relief call was given a thread. */
  private givenToOther(queue: WatchedQueue, waiter: CallWaiter): void {
    const threads = queue.queue.threadsCounted();
    if (threads === 0 || (waiter.system && !reserveRules(queue.discipline).systemCallsClaim)) return;
    const sleepers = [...this.sleepers(queue)];
    if (sleepers.length === 0 && !this.run.reserve) return;
    const claims = this.claims(queue);
    const kept = Math.max(0, this.kept(queue, threads) - claims.relief);
    if (kept > 0 && this.taken(queue, claims) + kept > threads) {
      this.run.says(`${this.name(waiter.label)} was given the thread that is kept for relief calls`);
      return;
    }
    // Subtract the new claim, to get the state before.
    if (waiter.system) claims.system--;
    else claims.normal--;
    const passed = sleepers.find((sleeper) => this.mayHave(queue, sleeper, claims));
    if (passed !== undefined)
      this.run.says(`${this.name(waiter.label)} was given a thread that ${this.name(passed.label)} waited for`);
  }

  /** A call enters secure world, for the first time or to resume. */
  private goesIn(label: number): void {
    const queue = this.run.queue();
    const isNew = !this.inside.has(label) && this.calls.has(label);
    if (isNew) this.inside.add(label);
    if (!isNew || queue === undefined || queue.queue.threadsCounted() > 0 || this.calls.get(label)?.relief) return;
    for (const _ of this.sleepers(queue)) this.passing.add(label);
  }

  private wasIn(label: number, smcReturn: number): void {
    if (this.passing.delete(label) && smcReturn !== OpteeSmcReturn.ethreadLimit)
      this.run.says(`${this.name(label)} entered while a relief call slept after ETHREAD_LIMIT`);
  }

  /** Whether the sleeping call may have a thread with these claims, by the discipline's rules. */
  private mayHave({ queue }: WatchedQueue, { system }: CallWaiter, claims: Claims): boolean {
    const threads = queue.threadsCounted();
    if (threads === 0) return false;
    const rules = reserveRules(queue.discipline);
    const kept = this.kept({ queue }, threads);
    const owed = rules.owed(queue.reservationCount(), threads - kept);
    const withheld = system || claims.relief < kept ? 0 : rules.withheld(owed, claims.system);
    return this.taken({ queue }, claims) < threads - withheld;
  }

  private claims(queue: WatchedQueue): Claims {
    const claims: Claims = { normal: 0, system: 0, relief: 0 };
    for (const waiter of queue.callers)
      if (queue.queue.holdsClaim(waiter)) {
        if (queue.sortsOwnCalls && this.isRelief(waiter)) claims.relief++;
        else if (waiter.system) claims.system++;
        else claims.normal++;
      }
    return claims;
  }

  private taken({ queue }: Pick<WatchedQueue, 'queue'>, { normal, system, relief }: Claims): number {
    return relief + normal + (reserveRules(queue.discipline).systemCallsClaim ? system : 0);
  }

  /** The number of threads that only relief calls may use. */
  private kept({ queue }: Pick<WatchedQueue, 'queue'>, threads: number): number {
    return this.run.reserve ? reserveRules(queue.discipline).keptForRelief(threads) : 0;
  }

  private *sleepers(queue: WatchedQueue): Iterable<CallWaiter> {
    for (const waiter of queue.callers)
      if (!waiter.completed && waiter.phase.startsWith('asleep') && this.isRelief(waiter)) yield waiter;
  }

  private isRelief({ label }: CallWaiter): boolean {
    return this.calls.get(label)?.relief === true;
  }

  private name(label: number): string {
    return `call ${label} (${this.calls.get(label)?.purpose ?? 'over'})`;
  }
}
