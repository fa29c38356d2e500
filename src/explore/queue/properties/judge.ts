import type { Caller, Operation, Step } from '../model/caller.js';
import type { QueueModel } from '../model/queue-model.js';
import { PROPERTY_BIT } from './properties.js';
import { type ReserveRules, reserveRules } from './reserve-rules.js';

const {
  lostWakeUp,
  dependencyDeadlock,
  capacityDeadlock,
  normalSleepsBesideFreeThread,
  systemSleepsBesideFreeThread,
  threadLimitWhileTracked,
  counterOutOfRange,
  systemSleepsReserveUnused,
  unboundedOvertaking,
  conservation,
  reserveFollowsSessions,
  normalTakesReserve,
  reservationNeedsSecondThread,
  reliefSleepsBesideFreeThread,
  reliefWaitsBehindOthers,
  othersTakeReliefThread,
  refusedCallerPauses,
} = PROPERTY_BIT;

/**
 * Events that must occur in a search for a property to be tested. A property whose event never occurred holds
 * vacuously.
 */
export const OCCASIONS = {
  normalSlept: 1,
  systemSlept: 2,
  refused: 4,
  reservationAsked: 8,
  normalClaimedBesideReserve: 16,
  reliefSlept: 32,
  othersClaimedBesideKept: 64,
} as const;

/**
 * Determines which properties are broken by the present state of a model, and which by the step that led to it, as bit
 * sets.
 */
export class Judge {
  /** The `OCCASIONS` that have occurred, as bits. */
  occasions = 0;
  private readonly rules: ReserveRules;
  /** The number of system sessions, if no caller makes or closes one; otherwise undefined. */
  private readonly constantSessions: number | undefined;
  private readonly reserves: boolean;
  /** Whether claims are checked after each step that may give one. */
  private readonly followsClaims: boolean;
  /**
   * The number of callers of each class that hold a claim, in the last checked state or after the last checked step.
   */
  private normalClaims = 0;
  private systemClaims = 0;
  /** The claims of relief calls, if these are a separate class; they are not counted in the other classes. */
  private reliefClaims = 0;
  /** The callers that hold a claim, as bits by label; and those that did in the last checked state. */
  private claimants = 0;
  private claimantsBefore = 0;

  constructor(private readonly model: QueueModel) {
    const { config, callers } = model;
    this.rules = reserveRules(config.discipline);
    const change = callers.some(({ operations }) => operations.some(({ op }) => op !== 'call'));
    this.constantSessions = change ? undefined : systemSessionsOwed(model);
    this.reserves = change || config.initialSystemSessions > 0;
    this.followsClaims = this.reserves || model.relieves;
    if (this.reserves) this.occasions |= OCCASIONS.reservationAsked;
  }

  /** The properties that are broken by the system sessions at the start. */
  atStart(): number {
    const { model, rules } = this;
    const { sessionIsSystem, config } = model;
    let granted = 0;
    for (let session = 0; session < config.initialSystemSessions; session++) {
      if (rules.grants(granted, this.threadsForOthers()) !== sessionIsSystem[session])
        return reservationNeedsSecondThread;
      granted++;
    }
    return this.inState();
  }

  /**
   * The properties that the state breaks. `unboundedOvertaking` can be seen in a state only if the discipline promises
   * an order; otherwise a cycle is searched (fair-cycle.ts). `deadlocks` reports deadlocks, in states in which no
   * caller can step.
   */
  inState(): number {
    const { model, rules } = this;
    const { queue, callers } = model;
    let systemInside = 0;
    let normalSleeps = false;
    let systemSleeps = false;
    let reliefSleeps = false;
    let normalMayEnter = false;
    let systemMayEnter = false;
    let reliefMayEnter = false;
    /**
     * No step that could wake a sleeping caller is in progress: every caller sleeps, is inside, or is not concerned.
     */
    let quiet = true;
    for (let i = 0; i < callers.length; i++) {
      const caller = callers[i];
      if (caller === undefined) break;
      const { waiter, stage, system } = caller;
      switch (stage) {
        case 'in_secure':
        case 'in_rpc':
          if (system && !(caller.relief && queue.sortsOwnCalls)) systemInside++;
          break;
        case 'ready':
        case 'limited':
        case 'returned':
        case 'leaving':
        case 'releasing':
          quiet = false;
          break;
        case 'waiting':
          if (!isAsleep(caller)) {
            quiet = false;
            break;
          }
          if (caller.relief) {
            reliefSleeps = true;
            reliefMayEnter ||= queue.allows(waiter);
            if (queue.sortsOwnCalls) break;
          }
          if (system) {
            systemSleeps = true;
            systemMayEnter ||= queue.allows(waiter);
          } else {
            normalSleeps = true;
            normalMayEnter ||= queue.allows(waiter);
          }
          break;
      }
    }
    this.countClaims();
    const { normalClaims, systemClaims, reliefClaims } = this;
    this.claimantsBefore = this.claimants;
    if (normalSleeps) this.occasions |= OCCASIONS.normalSlept;
    if (systemSleeps) this.occasions |= OCCASIONS.systemSlept;
    if (reliefSleeps) this.occasions |= OCCASIONS.reliefSlept;

    const violation = queue.violation(normalClaims, systemClaims, reliefClaims, model.config.secureThreads);
    let broken = 0;
    if (violation !== undefined) {
      if (violation === 'conservation') broken |= conservation;
      else if (violation === 'range') broken |= counterOutOfRange;
      else broken |= unboundedOvertaking;
    }
    let owed = 0;
    if (this.reserves) {
      const sessions = this.constantSessions ?? systemSessionsOwed(model);
      owed = rules.owed(sessions, this.threadsForOthers());
      if (queue.reservationCount() !== sessions || queue.reservedThreads() !== owed) broken |= reserveFollowsSessions;
    }
    if (quiet && model.secureFree > 0 && (normalSleeps || systemSleeps || reliefSleeps)) {
      // A thread that is not claimed and not owed to others is available to the first caller.
      const threads = queue.threadsCounted();
      if (threads > 0) {
        const withheld = rules.withheld(owed, systemClaims);
        const taken = this.takenOfOthers(threads);
        normalMayEnter ||= normalSleeps && taken < threads - withheld;
        systemMayEnter ||= systemSleeps && taken < threads;
        reliefMayEnter ||= reliefSleeps && this.reliefMayHave(threads, this.claimed, withheld);
      }
      if (normalMayEnter) broken |= normalSleepsBesideFreeThread;
      if (systemMayEnter) broken |= systemSleepsBesideFreeThread;
      if (reliefMayEnter) broken |= reliefSleepsBesideFreeThread;
      const keptFree = Math.max(0, this.kept(threads) - reliefClaims);
      if (systemSleeps && model.secureFree > keptFree && systemInside < queue.reservedThreads())
        broken |= systemSleepsReserveUnused;
    }
    return broken;
  }

  /** The properties that the last step broke. `inState` must have been called for the state before it. */
  ofStep(step: Step, caller: Caller): number {
    const { model, rules } = this;
    const { outcome, queue, config, callers } = model;
    let broken = 0;
    switch (step) {
      case 'smc':
        if (outcome.entered) {
          // Without a count of claims, entering secure world is what gives a thread away.
          if (model.relieves && queue.threadsCounted() === 0 && !caller.relief && callers.some(isReliefAsleep))
            broken |= reliefWaitsBehindOthers;
          break;
        }
        this.occasions |= OCCASIONS.refused;
        // Linux up to 6.7 does not track threads, whatever secure world announces.
        if (
          config.discipline !== 'linux-6.7' &&
          config.totalThreadCount > 0 &&
          config.secureThreads >= config.totalThreadCount
        )
          broken |= threadLimitWhileTracked;
        if (!queue.thinksOnThreadLimit) broken |= this.ofRefusal();
        break;
      case 'thread_limit':
        broken |= this.ofRefusal();
        break;
      case 'system_session':
        if (outcome.asked) {
          const before = systemSessionsOwed(model) - (outcome.rc === 0 ? 1 : 0);
          if (rules.grants(before, this.threadsForOthers()) !== (outcome.rc === 0))
            broken |= reservationNeedsSecondThread;
        }
        break;
      default:
        break;
    }
    if (this.followsClaims && asksQueue(step)) {
      this.countClaims();
      // A step gives a claim to at most one caller.
      const given = callers[31 - Math.clz32(this.claimants & ~this.claimantsBefore)];
      if (given !== undefined) {
        if (this.reserves && !given.system) broken |= this.ofNormalClaim(given.relief && queue.sortsOwnCalls);
        if (!given.relief) broken |= this.ofOthersClaim(given.system);
      }
    }
    return broken;
  }

  private countClaims(): void {
    const { queue, callers } = this.model;
    let normalClaims = 0;
    let systemClaims = 0;
    let reliefClaims = 0;
    let claimants = 0;
    for (let i = 0; i < callers.length; i++) {
      const caller = callers[i];
      if (caller === undefined || caller.stage === 'leaving' || !queue.holdsClaim(caller.waiter)) continue;
      const { relief } = caller;
      claimants |= 1 << i;
      if (relief && queue.sortsOwnCalls) reliefClaims++;
      else if (caller.system) systemClaims++;
      else normalClaims++;
    }
    this.normalClaims = normalClaims;
    this.systemClaims = systemClaims;
    this.reliefClaims = reliefClaims;
    this.claimants = claimants;
  }

  private ofRefusal(): number {
    const { outcome } = this.model;
    this.countClaims();
    if (outcome.spins) return refusedCallerPauses;
    return outcome.paused && this.normalClaims + this.systemClaims + this.reliefClaims > 1 ? refusedCallerPauses : 0;
  }

  /**
   * A call without a system session was given a thread. @param relief it may use the thread reserved for relief calls.
   */
  private ofNormalClaim(relief: boolean): number {
    const { model, rules } = this;
    const threads = model.queue.threadsCounted();
    if (threads === 0) return 0;
    const owed = rules.owed(this.constantSessions ?? systemSessionsOwed(model), this.threadsForOthers());
    const withheld = rules.withheld(owed, this.systemClaims);
    if (withheld === 0) return 0;
    this.occasions |= OCCASIONS.normalClaimedBesideReserve;
    if (relief && this.reliefClaims <= this.kept(threads)) return 0;
    if (relief && this.reliefClaims <= this.kept(threads)) return 0;
    return this.takenOfOthers(threads) > threads - withheld ? normalTakesReserve : 0;
  }

  /** A call that is not a relief call was given a thread. */
  private ofOthersClaim(system: boolean): number {
    const { model, rules } = this;
    const { queue, callers } = model;
    const threads = queue.threadsCounted();
    if (threads === 0 || (system && !rules.systemCallsClaim)) return 0;
    let broken = 0;
    if (this.kept(threads) > 0) {
      this.occasions |= OCCASIONS.othersClaimedBesideKept;
      if (this.takenOfOthers(threads) > threads) broken |= othersTakeReliefThread;
    }
    if (!callers.some(isReliefAsleep)) return broken;
    // The state before it was given: the number withheld from calls without a system session.
    const systemClaims = this.systemClaims - (system ? 1 : 0);
    const owed = rules.owed(this.constantSessions ?? systemSessionsOwed(model), this.threadsForOthers());
    if (this.reliefMayHave(threads, this.claimed - 1, rules.withheld(owed, systemClaims)))
      broken |= reliefWaitsBehindOthers;
    return broken;
  }

  /** Whether a sleeping relief call may have a thread with so many claims. */
  private reliefMayHave(threads: number, claimed: number, withheld: number): boolean {
    const { callers } = this.model;
    const mayHaveKept = this.reliefClaims < this.kept(threads);
    return callers.some(
      (caller) => isReliefAsleep(caller) && claimed < (caller.system || mayHaveKept ? threads : threads - withheld),
    );
  }

  /** The number of threads that only relief calls may use. */
  private kept(threads: number): number {
    return this.model.config.reserve === true ? this.rules.keptForRelief(threads) : 0;
  }

  private threadsForOthers(): number {
    const threads = this.model.queue.threadsCounted();
    return threads - this.kept(threads);
  }

  /** The number of claimed threads, plus those reserved for relief calls. */
  private takenOfOthers(threads: number): number {
    return this.claimed + Math.max(0, this.kept(threads) - this.reliefClaims);
  }

  private get claimed(): number {
    const { normalClaims, systemClaims, reliefClaims } = this;
    return reliefClaims + (this.rules.systemCallsClaim ? normalClaims + systemClaims : normalClaims);
  }
}

/** Whether the step executes a section of the queue that may give a claim. */
function asksQueue(step: Step): boolean {
  switch (step) {
    case 'wait_init':
    case 'wait_return':
    case 'requeue':
    case 'recheck':
    case 'thread_limit':
    case 'wait_final':
    case 'wait_final_second':
    case 'release':
      return true;
    // A refusal that the queue learns of in the same step only puts the caller to sleep.
    case 'smc':
    case 'system_session':
    case 'begin':
    case 'rpc_out':
    case 'rpc_back':
    case 'smc_return':
      return false;
  }
}

/** The number of system sessions with a reservation: those that are open, or being closed. */
function systemSessionsOwed({ sessionIsSystem, sessionIsClosed, callers }: QueueModel): number {
  let sessions = 0;
  for (let session = 0; session < sessionIsSystem.length; session++) {
    if (sessionIsSystem[session] !== true) continue;
    if (sessionIsClosed[session] !== true || callers.some((caller) => isClosing(caller, session))) sessions++;
  }
  return sessions;
}

function isClosing({ stage, system, index, operations }: Caller, session: number): boolean {
  if (stage === 'idle' || stage === 'done' || !system) return false;
  const operation = operations[index];
  return operation?.op === 'close' && operation.session === session;
}

/** The kinds of deadlock that the model's state is, as a bit set. No caller can step in it. */
export function deadlocks(model: QueueModel): number {
  const { callers, queue, secureFree } = model;
  if (!callers.some(isAsleep)) return 0;
  if (!callers.some(({ stage }) => stage === 'in_secure')) return lostWakeUp;
  if (!callers.some((caller) => waitsForSleeper(model, caller))) return 0;
  const mayEnter = callers.some((caller) => isAsleep(caller) && queue.allows(caller.waiter));
  return secureFree > 0 && mayEnter ? dependencyDeadlock : capacityDeadlock;
}

/** Whether only a step of another caller can wake it. */
export function isAsleep({ stage, waiter }: Caller): boolean {
  if (stage !== 'waiting' || waiter.completed) return false;
  return waiter.phase === 'asleep-claim' || waiter.phase === 'asleep-thread-limit';
}

function isReliefAsleep(caller: Caller): boolean {
  return caller.relief && isAsleep(caller);
}

/** Whether the caller is inside secure world and waits, directly or through others, for one that sleeps. */
function waitsForSleeper(model: QueueModel, caller: Caller): boolean {
  let at: Caller | undefined = caller;
  for (let hops = 0; hops <= model.callers.length; hops++) {
    if (at?.stage !== 'in_secure') return at !== undefined && at !== caller && isAsleep(at);
    const operation: Operation = at.operation;
    at = 'needs' in operation && operation.needs >= 0 ? model.callers[operation.needs] : undefined;
  }
  return false;
}
