/**
 * Who goes next. At every point where another order would be possible in the real system, the driver and the simulated
 * world ask: in production nothing happens, under a scheduler the actor waits until it is picked.
 */
export interface Schedule {
  /** False: the order is the machine's, and nobody need come to `point`. Asked on every call, so it must cost nothing. */
  readonly decides: boolean;

  /**
   * Whoever acts comes to the finer points as well: those between which nothing can be told apart unless sessions, memory or
   * interrupts come and go meanwhile. They would only make more orders of anything else.
   */
  readonly fine: boolean;

  /**
   * Wait to be picked.
   * @param actor who is about to act: a call's label.
   * @param step what it is about to do, for traces and schedules.
   */
  point(actor: string, step: string): Promise<void>;

  /**
   * What happens here, of several things that could: a fault, or none.
   * @param actor to whom.
   * @param options in words, for schedules; the first is the usual course of things.
   * @returns an index into `options`; 0 when nobody decides.
   */
  choose(actor: string, options: readonly string[]): number;
}

/** Everyone goes on at once: the order is that of the machine. */
export const immediateSchedule: Schedule = {
  decides: false,
  fine: false,
  point: () => Promise.resolve(),
  choose: () => 0,
};
