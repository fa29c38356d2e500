import { CallQueueAssertion, expectPhase } from './assertion.js';
import type { CallWaiter, QueueState, QueueStep } from './call-queue.js';
import type { StorableCallQueue, Violation } from './storable.js';
import { WaiterList } from './waiter-list.js';

/** How many threads a reservation withholds from normal calls. */
export type ReservePolicy =
  /** One thread stays free for system calls while a system session exists, as in Linux since 6.8. */
  | 'always-free'
  /** One thread for all system sessions together. A running system call uses it; normal calls may then use the rest. */
  | 'one-in-all'
  /** One thread for each system session, as long as one remains for normal calls. Running system calls use them. */
  | 'one-a-session';

const DISCIPLINE_OF = { 'always-free': 'hand-off-a', 'one-in-all': 'hand-off', 'one-a-session': 'hand-off-c' } as const;

/** Represents an unknown capacity; larger than any real one. */
const UNKNOWN = 0x3fff_ffff;

/** The capacity, and the largest number of tokens while it is unknown, are stored in one counter with these offsets. */
const CAPACITY_KEPT = 4;
const MOST_IN_FLIGHT_KEPT = 8;

/**
 * A queue without a race between wake-up and claim: a thread, represented by a token, is given to a sleeper in the step
 * that frees it. A caller either holds a token or sleeps; the lists contain only sleepers; a woken caller already has a
 * token, and neither checks nor queues again. So a wake-up cannot go to a caller that is not asleep, and no call
 * overtakes another within a class.
 *
 * Calls have four classes, in this order: relief calls of system sessions, other relief calls, system calls, normal
 * calls. A relief call ends or wakes calls that are inside, or releases something that they may wait for (a
 * cancellation, a bottom half, the close of a session, the end of a registration), and waits for none of them itself.
 * If it waited behind them, both could wait for ever. Relief calls cannot starve other calls, because each follows from
 * a call that entered before it. One thread may be kept for relief calls; a running relief call uses it.
 *
 * All operations take constant time: no list is searched.
 */
export class HandOffCallQueue implements StorableCallQueue {
  readonly thinksOnThreadLimit = true;
  readonly discipline: 'hand-off' | 'hand-off-a' | 'hand-off-c';
  /** Never called, because the lists contain only sleepers. */
  onUnusedWakeUp: ((waiter: CallWaiter, by: CallWaiter | undefined) => void) | undefined;
  private readonly systemReliefWaiters = new WaiterList();
  private readonly reliefWaiters = new WaiterList();
  private readonly systemWaiters = new WaiterList();
  private readonly normalWaiters = new WaiterList();
  /** In the order of service. */
  readonly waiterLists = [
    this.systemReliefWaiters,
    this.reliefWaiters,
    this.systemWaiters,
    this.normalWaiters,
  ] as const;
  readonly counterCount = 5;
  readonly countsExits = true;
  readonly sortsOwnCalls = true;
  private readonly announced: number;
  /**
   * Number of threads that secure world can use at once: the announced number, lowered if secure world proves to have
   * fewer.
   */
  private capacity: number;
  /** Tokens held by callers of each class. */
  private normalInFlight = 0;
  private systemInFlight = 0;
  private reliefInFlight = 0;
  /** Number of system sessions. */
  private reservations = 0;
  /** Number of calls that have returned. It shows whether an ETHREAD_LIMIT is older than the last return. */
  exits = 0;
  /** The largest number of tokens held at once, while the capacity is unknown. */
  private mostInFlight = 0;

  /**
   * @param threadCount number of threads that secure world announced; 0 if none: the capacity is unknown until secure
   * world answers ETHREAD_LIMIT.
   * @param reserve keep one thread for relief calls, as long as one remains for other calls.
   */
  constructor(
    threadCount: number,
    private readonly policy: ReservePolicy,
    private readonly reserveForRelief = false,
  ) {
    this.discipline = DISCIPLINE_OF[policy];
    this.announced = threadCount === 0 ? UNKNOWN : threadCount;
    this.capacity = this.announced;
  }

  enter(waiter: CallWaiter, system: boolean, relief = false): QueueStep {
    expectPhase(waiter, 'outside', 'enter');
    waiter.system = system;
    waiter.relief = relief;
    // A class only has sleepers while it has no room, so this caller overtakes nobody.
    if (this.allows(waiter)) {
      this.giveToken(waiter);
      return 'call';
    }
    this.listOf(waiter).pushTail(waiter);
    waiter.phase = 'asleep-claim';
    return 'sleep';
  }

  resume(waiter: CallWaiter): QueueStep {
    expectPhase(waiter, 'entered', 'resume');
    if (!waiter.completed) throw new CallQueueAssertion(`resume: caller ${waiter.label} was not asleep`);
    waiter.completed = false;
    // Updated directly before the SMC, so that fewer ETHREAD_LIMIT answers count as old.
    waiter.exitsSeen = this.exits;
    return 'call';
  }

  threadLimit(waiter: CallWaiter): QueueStep {
    expectPhase(waiter, 'entered', 'threadLimit');
    const { inFlight } = this;
    const answerIsOld = waiter.exitsSeen !== this.exits;
    waiter.exitsSeen = this.exits;
    // No other call is inside whose return could wake this caller.
    if (inFlight === 1 && !answerIsOld) return 'pause';

    // At the time of the answer, every thread was used by a caller with a token other than this one. If no call has
    // returned since, those are the callers that hold a token now; otherwise they were fewer than the most that ever
    // did. So each such answer lowers the capacity, but never below the true value, and the number of retries is
    // bounded.
    const most = this.capacity === UNKNOWN ? this.mostInFlight : this.capacity;
    const learnt = answerIsOld ? most - 1 : inFlight - 1;
    // Refused without any other call: secure world lacks even one thread, which may be temporary.
    if (learnt > 0) this.capacity = learnt;
    if (inFlight <= this.capacity) return 'call';

    waiter.phase = 'asleep-thread-limit';
    // The caller was at the head when it got its token, so it returns there and not behind later callers. All threads
    // are in use, so there is none to give away.
    this.count(waiter, -1);
    this.listOf(waiter).pushHead(waiter);
    this.checkCounters();
    return 'sleep';
  }

  leave(waiter: CallWaiter): void {
    expectPhase(waiter, 'entered', 'leave');
    waiter.phase = 'outside';
    this.count(waiter, -1);
    this.exits++;
    this.dispatch(waiter);
  }

  reserve(): boolean {
    // One thread must remain for normal calls in addition to the one for relief calls.
    if (this.capacity === UNKNOWN || this.capacity - this.threadsForRelief() === 1) return false;
    this.reservations++;
    return true;
  }

  release(): void {
    if (this.reservations === 0) throw new CallQueueAssertion('release: no system session is counted');
    this.reservations--;
    this.dispatch();
  }

  state(): QueueState {
    const { inFlight } = this;
    const capacity = this.capacity === UNKNOWN ? 0 : this.capacity;
    return {
      discipline: this.discipline,
      lists: {
        system_relief_waiters: this.systemReliefWaiters.state(),
        relief_waiters: this.reliefWaiters.state(),
        system_waiters: this.systemWaiters.state(),
        normal_waiters: this.normalWaiters.state(),
      },
      counters: {
        /** 0: unknown. */
        capacity,
        /** 0 while the capacity is unknown. */
        free: capacity === 0 ? 0 : capacity - inFlight,
        normal_in_flight: this.normalInFlight,
        system_in_flight: this.systemInFlight,
        relief_in_flight: this.reliefInFlight,
        reservations: this.reservations,
        exits: this.exits,
        /** 0 once the capacity is known. */
        most_in_flight: capacity === 0 ? this.mostInFlight : 0,
      },
    };
  }

  /** Threads that only relief calls may use. With a single thread none is kept, because no other call could run. */
  threadsForRelief(): number {
    return this.reserveForRelief && this.capacity > 1 ? 1 : 0;
  }

  reservedThreads(): number {
    // One thread must remain for normal calls; with a single thread they could never run.
    const most = this.capacity - this.threadsForRelief() - 1;
    return Math.min(this.reservations, this.policy === 'one-a-session' ? most : Math.min(1, most));
  }

  reservationCount(): number {
    return this.reservations;
  }

  threadsCounted(): number {
    return this.capacity === UNKNOWN ? 0 : this.capacity;
  }

  listIndex({ relief, system }: CallWaiter): number {
    return (relief ? 0 : 2) + (system ? 0 : 1);
  }

  holdsClaim({ phase }: CallWaiter): boolean {
    return phase === 'entered';
  }

  allows({ relief, system }: CallWaiter): boolean {
    return relief ? this.hasRoomForRelief(system) : this.hasRoom(system);
  }

  saveCounters(into: Int32Array): void {
    // At any time only one of the two is meaningful.
    into[0] = this.capacity === UNKNOWN ? this.mostInFlight - MOST_IN_FLIGHT_KEPT : this.capacity + CAPACITY_KEPT;
    into[1] = this.reservations;
    into[2] = this.normalInFlight;
    into[3] = this.systemInFlight;
    into[4] = this.reliefInFlight;
  }

  loadCounters(from: Int32Array): void {
    const both = from[0] ?? 0;
    this.capacity = both > CAPACITY_KEPT ? both - CAPACITY_KEPT : UNKNOWN;
    this.mostInFlight = both > CAPACITY_KEPT ? 0 : both + MOST_IN_FLIGHT_KEPT;
    this.reservations = from[1] ?? 0;
    this.normalInFlight = from[2] ?? 0;
    this.systemInFlight = from[3] ?? 0;
    this.reliefInFlight = from[4] ?? 0;
    this.exits = 0;
  }

  violation(
    normalClaims: number,
    systemClaims: number,
    reliefClaims: number,
    secureThreads: number,
  ): Violation | undefined {
    const { capacity, announced, reservations } = this;
    if (normalClaims !== this.normalInFlight || systemClaims !== this.systemInFlight) return 'conservation';
    if (reliefClaims !== this.reliefInFlight) return 'conservation';
    if (normalClaims + systemClaims + reliefClaims > capacity || reservations < 0) return 'range';
    // The learned capacity is never below the true one.
    if (capacity < Math.min(announced, secureThreads)) return 'range';
    return this.waiterLists.every(inOrder) ? undefined : 'order';
  }

  private get inFlight(): number {
    return this.normalInFlight + this.systemInFlight + this.reliefInFlight;
  }

  /** Whether there is room for a call that is not a relief call. */
  private hasRoom(system: boolean): boolean {
    const others = this.normalInFlight + this.systemInFlight;
    // Relief calls occupy the thread kept for them, or more if more of them are in flight.
    const taken = others + Math.max(this.reliefInFlight, this.threadsForRelief());
    return taken < (system ? this.capacity : this.capacity - this.withheld());
  }

  private hasRoomForRelief(system: boolean): boolean {
    const { inFlight } = this;
    // Threads reserved for system calls are not available to other relief calls, because closing a system session may
    // need one. This does not apply to the thread kept for relief calls.
    const ofSystem = system || this.reliefInFlight < this.threadsForRelief() ? 0 : this.withheld();
    return inFlight < this.capacity - ofSystem;
  }

  /** Threads that calls outside of system sessions must leave free. */
  private withheld(): number {
    if (this.reservations === 0) return 0;
    const reserved = this.reservedThreads();
    return this.policy === 'always-free' ? reserved : Math.max(0, reserved - this.systemInFlight);
  }

  /**
   * Give the freed thread to the first class with a sleeper that may use it. The return of a call or the end of a
   * reservation makes room for at most one caller, and there was no room for any sleeper before.
   */
  private dispatch(by?: CallWaiter): void {
    const lists = this.waiterLists;
    // By index, because an iterator takes a fifth of the time of a return.
    for (let index = 0; index < lists.length; index++) {
      const list = lists[index];
      const first = list?.head;
      if (first === undefined || !this.allows(first)) continue;
      list?.remove(first);
      this.wakeWithToken(first, by);
      break;
    }
    this.checkCounters();
  }

  private listOf(waiter: CallWaiter): WaiterList {
    if (waiter.relief) return waiter.system ? this.systemReliefWaiters : this.reliefWaiters;
    return waiter.system ? this.systemWaiters : this.normalWaiters;
  }

  private wakeWithToken(waiter: CallWaiter, by: CallWaiter | undefined): void {
    this.giveToken(waiter);
    waiter.completed = true;
    waiter.wake?.(by);
  }

  private giveToken(waiter: CallWaiter): void {
    this.count(waiter, 1);
    waiter.phase = 'entered';
    waiter.completed = false;
    waiter.exitsSeen = this.exits;
    if (this.capacity === UNKNOWN) {
      this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    }
  }

  /** A relief call of a system session does not count as using the threads reserved for system calls. */
  private count({ relief, system }: CallWaiter, by: 1 | -1): void {
    if (relief) this.reliefInFlight += by;
    else if (system) this.systemInFlight += by;
    else this.normalInFlight += by;
  }

  private checkCounters(): void {
    const { normalInFlight, systemInFlight, reliefInFlight, inFlight, capacity } = this;
    if (normalInFlight < 0 || systemInFlight < 0 || reliefInFlight < 0 || inFlight > capacity) {
      throw new CallQueueAssertion(
        `in flight: ${normalInFlight} normal, ${systemInFlight} system, ${reliefInFlight} relief, of ${capacity}`,
      );
    }
  }
}

/** Callers that had a token and were refused by secure world precede all others. */
function inOrder(list: WaiterList): boolean {
  let waiter = list.head;
  while (waiter?.phase === 'asleep-thread-limit') waiter = waiter.next;
  for (; waiter !== undefined; waiter = waiter.next) if (waiter.phase !== 'asleep-claim') return false;
  return true;
}
