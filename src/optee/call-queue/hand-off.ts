import { CallQueueAssertion, expectPhase } from './assertion.js';
import type { CallWaiter, QueueState, QueueStep } from './call-queue.js';
import type { StorableCallQueue, Violation } from './storable.js';
import { WaiterList } from './waiter-list.js';

/** How much a reservation withholds from normal calls. */
export type ReservePolicy =
  /** One thread stays free for system calls whenever a system session exists, as Linux since 6.8 has it. */
  | 'always-free'
  /** One thread for all system sessions together. A running system call is its use: normal calls may have the rest. */
  | 'one-in-all'
  /** One thread for each system session, as far as one stays for normal calls; running system calls use them. */
  | 'one-a-session';

const DISCIPLINE_OF = { 'always-free': 'hand-off-a', 'one-in-all': 'hand-off', 'one-a-session': 'hand-off-c' } as const;

/** Stands for a capacity that is not known: more than any secure world has. */
const UNKNOWN = 0x3fff_ffff;

/** A capacity, and the most tokens at once while it is unknown, share a counter: these are added, and taken off, there. */
const CAPACITY_KEPT = 4;
const MOST_IN_FLIGHT_KEPT = 8;

/**
 * The queue without a race between wake-up and claim: a thread is handed to a sleeper, token and all, in the step that
 * frees it. A caller holds a token or sleeps; the lists hold only sleepers; who wakes has a token already and neither
 * checks again nor queues again. So a wake-up cannot go to someone who is not asleep, and nobody can overtake within
 * a class.
 *
 * Calls are of four classes, in this order: relief calls of system sessions, other relief calls, system calls, normal
 * calls. A relief call ends or wakes calls that are inside, or gives back what they may wait for (a cancellation, a bottom
 * half, the end of a session or of a registration), and waits for none of them. To let it wait behind them would be to
 * wait for ever. It cannot starve them: each of them is paid for by a call that went before it. One thread may be kept for
 * relief calls; one that runs is the use of it.
 *
 * Every operation costs the same whatever the number of waiters: nothing is searched.
 */
export class HandOffCallQueue implements StorableCallQueue {
  readonly thinksOnThreadLimit = true;
  readonly discipline: 'hand-off' | 'hand-off-a' | 'hand-off-c';
  /** Never called: the lists hold only sleepers. */
  onUnusedWakeUp: ((waiter: CallWaiter, by: CallWaiter | undefined) => void) | undefined;
  private readonly systemReliefWaiters = new WaiterList();
  private readonly reliefWaiters = new WaiterList();
  private readonly systemWaiters = new WaiterList();
  private readonly normalWaiters = new WaiterList();
  /** In the order in which they are served. */
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
  /** Threads that secure world can have in use at once: announced, then lowered when it proves to have fewer. */
  private capacity: number;
  /** Tokens held by callers of each class. */
  private normalInFlight = 0;
  private systemInFlight = 0;
  private reliefInFlight = 0;
  /** System sessions. */
  private reservations = 0;
  /** Counts the calls that have returned, so that an ETHREAD_LIMIT can be told to be older than the last of them. */
  exits = 0;
  /** The most tokens that were held at once, as long as the capacity is unknown. */
  private mostInFlight = 0;

  /**
   * @param threadCount what secure world announced; 0: nothing, the capacity is then unknown until it runs out.
   * @param reserve keep one thread for relief calls, as far as one stays for the rest.
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
    // Whenever someone of this class sleeps there is no room for it: nobody is overtaken here.
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
    // Noted again, directly before the SMC: fewer ETHREAD_LIMIT answers will seem to be from before an exit.
    waiter.exitsSeen = this.exits;
    return 'call';
  }

  threadLimit(waiter: CallWaiter): QueueStep {
    expectPhase(waiter, 'entered', 'threadLimit');
    const { inFlight } = this;
    const answerIsOld = waiter.exitsSeen !== this.exits;
    waiter.exitsSeen = this.exits;
    // Nobody is inside whose return could wake this caller.
    if (inFlight === 1 && !answerIsOld) return 'pause';

    // When the answer was given, every thread was in use by a caller with a token other than this one. If nobody has
    // left since, those are the ones who hold a token now; else they were fewer than the most that ever did. So each
    // such answer lowers the capacity, never below the truth, and a caller is told to try again only so many times.
    const most = this.capacity === UNKNOWN ? this.mostInFlight : this.capacity;
    const learnt = answerIsOld ? most - 1 : inFlight - 1;
    // Refused with nobody else about: secure world lacks even one thread, which may pass.
    if (learnt > 0) this.capacity = learnt;
    if (inFlight <= this.capacity) return 'call';

    waiter.phase = 'asleep-thread-limit';
    // It was at the head when it got its token: it goes back there, not behind those who came later. All threads are
    // spoken for, so that there is nothing to hand out.
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
    // One thread must stay for normal calls, beside the one for relief calls.
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

  /** Threads that only relief calls may have. With a single thread there is nothing to keep: no other call could run. */
  threadsForRelief(): number {
    return this.reserveForRelief && this.capacity > 1 ? 1 : 0;
  }

  reservedThreads(): number {
    // One must stay for normal calls: with a single thread they could never run.
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
    // Only one of the two means anything at a time.
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
    // What is learnt is never less than what there is.
    if (capacity < Math.min(announced, secureThreads)) return 'range';
    return this.waiterLists.every(inOrder) ? undefined : 'order';
  }

  private get inFlight(): number {
    return this.normalInFlight + this.systemInFlight + this.reliefInFlight;
  }

  /** Room for a call that is no relief call. */
  private hasRoom(system: boolean): boolean {
    const others = this.normalInFlight + this.systemInFlight;
    // Relief calls have the thread that is kept for them, and whatever more they took.
    const taken = others + Math.max(this.reliefInFlight, this.threadsForRelief());
    return taken < (system ? this.capacity : this.capacity - this.withheld());
  }

  private hasRoomForRelief(system: boolean): boolean {
    const { inFlight } = this;
    // What is kept for system calls is theirs: a session that ends may need one. The thread kept for relief calls is no
    // part of that.
    const ofSystem = system || this.reliefInFlight < this.threadsForRelief() ? 0 : this.withheld();
    return inFlight < this.capacity - ofSystem;
  }

  /** Threads that calls of no system session must leave free. */
  private withheld(): number {
    const reserved = this.reservedThreads();
    return this.policy === 'always-free' ? reserved : Math.max(0, reserved - this.systemInFlight);
  }

  /**
   * Hands on what has become free, to the first class that has someone asleep and may have it. An exit or the end of a
   * reservation makes room for one caller at most, and before it there was none for anyone who sleeps.
   */
  private dispatch(by?: CallWaiter): void {
    for (const list of this.waiterLists) {
      const first = list.head;
      if (first === undefined || !this.allows(first)) continue;
      list.remove(first);
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

  /** A relief call of a system session is no use of what is kept for system calls. */
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

/** Who has had a token, and was refused by secure world, stands before all who have not. */
function inOrder(list: WaiterList): boolean {
  let waiter = list.head;
  while (waiter?.phase === 'asleep-thread-limit') waiter = waiter.next;
  for (; waiter !== undefined; waiter = waiter.next) if (waiter.phase !== 'asleep-claim') return false;
  return true;
}
