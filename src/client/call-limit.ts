import type { Clock } from '../clock/clock.js';
import { TeeOrigin, TeeResult } from '../protocol/tee-result.js';
import { show } from '../show.js';
import { badParameters, TeecError } from '../tee/teec-error.js';

/** The default time limit of calls, and the clock that measures it. */
export interface CallLimits {
  readonly clock: Clock;
  /** Milliseconds; Infinity means no limit. */
  readonly callLimitMs: number;
  /** The number of calls that exceeded their limit and are still in secure world. */
  overdue: number;
  /** The calls that have not returned, and what each waits for. */
  readonly waiting: () => readonly string[];
}

/** The longest list of waiting calls in an error. */
const mostListed = 4;

/** For the message of an error: the calls that the late one may wait for, itself included. */
function whoWaits({ waiting }: CallLimits): string {
  const calls = waiting();
  if (calls.length === 0) return '';
  const more = calls.length > mostListed ? [`and ${calls.length - mostListed} more`] : [];
  return ` (${[...calls.slice(0, mostListed), ...more].join('; ')})`;
}

/**
 * The time, in milliseconds, that the end of a client or of a TEE waits for cancelled calls. It is longer than the ten
 * seconds in which the supplicant must answer the requests of a dead client's sessions.
 */
const endLimitMs = 15_000;
/** The same for overdue calls: their callers already have a TIMEOUT. */
const overdueGraceMs = 500;

/**
 * Limit the time that an end (of a client, of a TEE) waits for calls.
 * @param who whose end it is, for the error.
 * @throws TeecError TIMEOUT from COMMS after the limit; the work continues in the background.
 */
export function endWithin(limits: CallLimits, ending: Promise<void>, who: string): Promise<void> {
  const late = () => {
    const what = `${who}: its calls did not return within ${endLimitMs} ms${whoWaits(limits)}`;
    return new TeecError(TeeResult.ERROR_TIMEOUT, TeeOrigin.COMMS, what);
  };
  return orAfter(limits, ending, endLimitMs, late);
}

/** An end that waits for calls. With overdue calls it waits only `overdueGraceMs`. */
export function endBesides(limits: CallLimits, ending: Promise<void>): Promise<void> {
  return limits.overdue === 0 ? ending : orAfter(limits, ending, overdueGraceMs, undefined);
}

function orAfter(
  { clock }: CallLimits,
  ending: Promise<void>,
  ms: number,
  error: (() => Error) | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const unlimit = clock.setTimer(ms, () => (error === undefined ? resolve() : reject(error())));
    ending.then(resolve, reject).finally(unlimit);
  });
}

/** @throws TeecError BAD_PARAMETERS for a value that is not a number of at least 0. */
export function checkLimit(doing: string, limitMs: unknown): void {
  if (!(typeof limitMs === 'number' && limitMs >= 0))
    throw badParameters(`${doing}: limitMs is ${show(limitMs)}; allowed: milliseconds from 0, and Infinity`);
}

/**
 * One call under its limit, from the request to the answer, including all waiting. The normal world cannot take a
 * thread out of secure world. So a call that exceeds its limit is cancelled and continues without a caller. The memory
 * that it may still write is kept until it returns.
 */
export class LimitedCall {
  private isOverdue = false;
  private settled: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly limits: CallLimits,
    private readonly limitMs: number,
    private readonly doing: () => string,
  ) {}

  /**
   * @param cancel requests the cancellation.
   * @throws TeecError TIMEOUT from COMMS after the limit.
   */
  result<T>(pending: Promise<T>, cancel: () => void): Promise<T> {
    const { limits, limitMs } = this;
    if (limitMs === Number.POSITIVE_INFINITY) return pending;
    return new Promise((resolve, reject) => {
      const unlimit = limits.clock.setTimer(limitMs, () => {
        this.isOverdue = true;
        limits.overdue++;
        const back = () => {
          limits.overdue--;
        };
        this.settled = pending.then(back, back);
        const late = `${this.doing()}: it did not return within ${limitMs} ms${whoWaits(limits)}`;
        cancel();
        reject(new TeecError(TeeResult.ERROR_TIMEOUT, TeeOrigin.COMMS, late));
      });
      pending.then(resolve, reject).finally(unlimit);
    });
  }

  /** Release the resources of the call: now, or for an overdue call when it returns. */
  release(giveBack: () => Promise<void> | undefined): Promise<void> | undefined {
    if (!this.isOverdue) return giveBack();
    void this.settled.then(giveBack).catch(() => undefined);
    return undefined;
  }
}
