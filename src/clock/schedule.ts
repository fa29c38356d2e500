/**
 * Decides the order of events. The driver and the simulated world call it at every point where the real system could
 * proceed in another order. In production it does nothing; under a scheduler the actor waits until it is picked.
 */
export interface Schedule {
  /** False: the order is the machine's, and actors can skip `point`. Read on every call, so it must be cheap. */
  readonly decides: boolean;

  /**
   * True: actors also call `point` at the fine-grained points. The order at these points has an effect only if
   * sessions, memory or interrupts come and go at the same time. Without such events, they only multiply equivalent
   * orders.
   */
  readonly fine: boolean;

  /**
   * Wait to be picked.
   * @param actor the actor: the label of a call.
   * @param step the next step of the actor, for traces and schedules.
   */
  point(actor: string, step: string): Promise<void>;

  /**
   * Choose which of several things happens: a fault, or none.
   * @param actor the actor that it happens to.
   * @param options descriptions, for schedules; the first is the normal course.
   * @returns an index into `options`; 0 when nothing decides.
   */
  choose(actor: string, options: readonly string[]): number;
}

/** Every actor continues at once: the order is that of the machine. */
export const immediateSchedule: Schedule = {
  decides: false,
  fine: false,
  point: () => Promise.resolve(),
  choose: () => 0,
};
