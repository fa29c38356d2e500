import type { Clock } from '../clock/clock.js';
import { TeeOrigin, TeeResult } from '../protocol/tee-result.js';
import { badParameters, TeecError } from '../tee/teec-error.js';

/** How long calls may take that do not say otherwise, and by which clock. */
export interface CallLimits {
  readonly clock: Clock;
  /** Milliseconds; Infinity for ever. */
  readonly callLimitMs: number;
  /** Calls whose time was over and that are still in secure world. */
  overdue: number;
}

/**
 * How long the end of a client, or of a TEE, waits for calls that were told to end: longer than the ten seconds that the
 * supplicant has for what the sessions of the dead ask of it.
 */
const endLimitMs = 15_000;
/** The same for calls that are overdue: their callers have been told. */
const overdueGraceMs = 500;

/**
 * An end that may have to wait for calls: no longer than for calls that come back when they are told to.
 * @param who whose end it is.
 * @throws TeecError TIMEOUT from COMMS; what was begun goes on.
 */
export function endWithin(limits: CallLimits, ending: Promise<void>, who: string): Promise<void> {
  const late = `${who}: its calls did not return within ${endLimitMs} ms`;
  return orAfter(limits, ending, endLimitMs, new TeecError(TeeResult.ERROR_TIMEOUT, TeeOrigin.COMMS, late));
}

/** An end that waits for calls, but for those that are overdue only a moment. */
export function endBesides(limits: CallLimits, ending: Promise<void>): Promise<void> {
  return limits.overdue === 0 ? ending : orAfter(limits, ending, overdueGraceMs, undefined);
}

function orAfter({ clock }: CallLimits, ending: Promise<void>, ms: number, error: Error | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const unlimit = clock.setTimer(ms, () => (error === undefined ? resolve() : reject(error)));
    ending.then(resolve, reject).finally(unlimit);
  });
}

/** @throws TeecError BAD_PARAMETERS for what is no time. */
export function checkLimit(doing: string, limitMs: unknown): void {
  if (!(typeof limitMs === 'number' && limitMs >= 0))
    throw badParameters(`${doing}: limitMs is ${String(limitMs)}; allowed: milliseconds from 0, and Infinity`);
}

/**
 * One call under its limit: from the call to its answer, whatever it waits for meanwhile. The normal world cannot take a
 * thread out of secure world. So a call whose time is over is asked to stop, as by a cancellation, and goes on without
 * anybody who waits for it; what it may still write to is kept until it is back.
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
   * @param cancel asks secure world to stop.
   * @throws TeecError TIMEOUT from COMMS when the time is over.
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
        cancel();
        const late = `${this.doing()}: it did not return within ${limitMs} ms`;
        reject(new TeecError(TeeResult.ERROR_TIMEOUT, TeeOrigin.COMMS, late));
      });
      pending.then(resolve, reject).finally(unlimit);
    });
  }

  /** Give back what the call used: now, or when it is back after all. */
  release(giveBack: () => Promise<void> | undefined): Promise<void> | undefined {
    if (!this.isOverdue) return giveBack();
    void this.settled.then(giveBack).catch(() => undefined);
    return undefined;
  }
}
