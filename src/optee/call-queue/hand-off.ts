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

/**
 * The queue without a race between wake-up and claim: a thread is handed to a sleeper, token and all, in the step that
 * frees it. A caller holds a token or sleeps; the lists hold only sleepers; who wakes has a token already and neither
 * checks again nor queues again. So a wake-up cannot go to someone who is not asleep, and nobody can overtake within
 * a class.
 *
 * Every operation costs the same whatever the number of waiters: nothing is searched.
 */
export class HandOffCallQueue implements StorableCallQueue {
  readonly thinksOnThreadLimit = true;
  readonly discipline: 'hand-off' | 'hand-off-a' | 'hand-off-c';
  /** Never called: the lists hold only sleepers. */
  onUnusedWakeUp: ((waiter: CallWaiter, by: CallWaiter | undefined) => void) | undefined;
  private readonly systemWaiters = new WaiterList();
  private readonly normalWaiters = new WaiterList();
  readonly waiterLists = [this.systemWaiters, this.normalWaiters];
  readonly counterCount = 5;
  readonly countsExits = true;
  private readonly announced: number;
  /** Threads that secure world can have in use at once: announced, then lowered when it proves to have fewer. */
  private capacity: number;
  /** Tokens held by callers of each class. */
  private normalInFlight = 0;
  private systemInFlight = 0;
  /** System sessions. */
  private reservations = 0;
  /** Counts the calls that have returned, so that an ETHREAD_LIMIT can be told to be older than the last of them. */
  exits = 0;
  /** The most tokens that were held at once, as long as the capacity is unknown. */
  private mostInFlight = 0;

  /** @param threadCount what secure world announced; 0: nothing, the capacity is then unknown until it runs out. */
  constructor(
    threadCount: number,
    private readonly policy: ReservePolicy,
  ) {
    this.discipline = DISCIPLINE_OF[policy];
    this.announced = threadCount === 0 ? UNKNOWN : threadCount;
    this.capacity = this.announced;
  }

  enter(waiter: CallWaiter, system: boolean): QueueStep {
    expectPhase(waiter, 'outside', 'enter');
    waiter.system = system;
    // Whenever someone of this class sleeps there is no room for it: nobody is overtaken here.
    if (system ? this.hasRoomForSystem() : this.hasRoomForNormal()) {
      this.giveToken(waiter);
      return 'call';
    }
    if (system) this.systemWaiters.pushTail(waiter);
    else this.normalWaiters.pushTail(waiter);
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
    const inFlight = this.normalInFlight + this.systemInFlight;
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
    if (waiter.system) {
      this.systemInFlight--;
      this.systemWaiters.pushHead(waiter);
    } else {
      this.normalInFlight--;
      this.normalWaiters.pushHead(waiter);
    }
    this.checkCounters();
    return 'sleep';
  }

  leave(waiter: CallWaiter): void {
    expectPhase(waiter, 'entered', 'leave');
    waiter.phase = 'outside';
    if (waiter.system) this.systemInFlight--;
    else this.normalInFlight--;
    this.exits++;
    this.dispatch(waiter);
  }

  reserve(): boolean {
    if (this.capacity === 1 || this.capacity === UNKNOWN) return false;
    this.reservations++;
    return true;
  }

  release(): void {
    if (this.reservations === 0) throw new CallQueueAssertion('release: no system session is counted');
    this.reservations--;
    this.dispatch();
  }

  state(): QueueState {
    const inFlight = this.normalInFlight + this.systemInFlight;
    const capacity = this.capacity === UNKNOWN ? 0 : this.capacity;
    return {
      discipline: this.discipline,
      lists: { system_waiters: this.systemWaiters.state(), normal_waiters: this.normalWaiters.state() },
      counters: {
        /** 0: unknown. */
        capacity,
        /** 0 while the capacity is unknown. */
        free: capacity === 0 ? 0 : capacity - inFlight,
        normal_in_flight: this.normalInFlight,
        system_in_flight: this.systemInFlight,
        reservations: this.reservations,
        exits: this.exits,
        /** 0 once the capacity is known. */
        most_in_flight: capacity === 0 ? this.mostInFlight : 0,
      },
    };
  }

  private hasRoomForSystem(): boolean {
    return this.normalInFlight + this.systemInFlight < this.capacity;
  }

  private hasRoomForNormal(): boolean {
    return this.normalInFlight + this.systemInFlight < this.capacity - this.withheld();
  }

  reservedThreads(): number {
    // With a single thread there is nothing to reserve: normal calls could never run.
    const most = this.policy === 'one-a-session' ? this.capacity - 1 : Math.min(1, this.capacity - 1);
    return Math.min(this.reservations, most);
  }

  reservationCount(): number {
    return this.reservations;
  }

  threadsCounted(): number {
    return this.capacity === UNKNOWN ? 0 : this.capacity;
  }

  listIndex(waiter: CallWaiter): number {
    return waiter.system ? 0 : 1;
  }

  holdsClaim({ phase }: CallWaiter): boolean {
    return phase === 'entered';
  }

  allows(waiter: CallWaiter): boolean {
    return waiter.system ? this.hasRoomForSystem() : this.hasRoomForNormal();
  }

  saveCounters(into: Int32Array): void {
    into[0] = this.capacity === UNKNOWN ? 0 : this.capacity;
    into[1] = this.reservations;
    into[2] = this.normalInFlight;
    into[3] = this.systemInFlight;
    into[4] = this.capacity === UNKNOWN ? this.mostInFlight : 0;
  }

  loadCounters(from: Int32Array): void {
    this.capacity = from[0] || UNKNOWN;
    this.reservations = from[1] ?? 0;
    this.normalInFlight = from[2] ?? 0;
    this.systemInFlight = from[3] ?? 0;
    this.mostInFlight = from[4] ?? 0;
    this.exits = 0;
  }

  violation(normalClaims: number, systemClaims: number, secureThreads: number): Violation | undefined {
    const { capacity, announced, reservations } = this;
    if (normalClaims !== this.normalInFlight || systemClaims !== this.systemInFlight) return 'conservation';
    if (normalClaims + systemClaims > capacity || reservations < 0) return 'range';
    // What is learnt is never less than what there is.
    if (capacity < Math.min(announced, secureThreads)) return 'range';
    return this.waiterLists.every(inOrder) ? undefined : 'order';
  }

  /** Threads that normal calls must leave free. */
  private withheld(): number {
    const reserved = this.reservedThreads();
    return this.policy === 'always-free' ? reserved : Math.max(0, reserved - this.systemInFlight);
  }

  /**
   * Hands on what has become free, to a system call first. An exit or the end of a reservation makes room for one caller
   * at most, and before it there was none for anyone who sleeps.
   */
  private dispatch(by?: CallWaiter): void {
    const system = this.systemWaiters.head;
    const normal = this.normalWaiters.head;
    if (system !== undefined && this.hasRoomForSystem()) {
      this.systemWaiters.remove(system);
      this.wakeWithToken(system, by);
    } else if (normal !== undefined && this.hasRoomForNormal()) {
      this.normalWaiters.remove(normal);
      this.wakeWithToken(normal, by);
    }
    this.checkCounters();
  }

  private wakeWithToken(waiter: CallWaiter, by: CallWaiter | undefined): void {
    this.giveToken(waiter);
    waiter.completed = true;
    waiter.wake?.(by);
  }

  private giveToken(waiter: CallWaiter): void {
    if (waiter.system) this.systemInFlight++;
    else this.normalInFlight++;
    waiter.phase = 'entered';
    waiter.completed = false;
    waiter.exitsSeen = this.exits;
    if (this.capacity === UNKNOWN) {
      this.mostInFlight = Math.max(this.mostInFlight, this.normalInFlight + this.systemInFlight);
    }
  }

  private checkCounters(): void {
    const { normalInFlight, systemInFlight, capacity } = this;
    if (normalInFlight < 0 || systemInFlight < 0 || normalInFlight + systemInFlight > capacity) {
      throw new CallQueueAssertion(`in flight: ${normalInFlight} normal, ${systemInFlight} system, of ${capacity}`);
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
