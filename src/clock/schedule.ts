/**
 * Who goes next. At every point where another order would be possible in the real system, the driver and the simulated
 * world pass here: in production nothing happens, under a scheduler the actor waits until it is picked.
 */
export interface Schedule {
  /**
   * @param actor who is about to act: a call's label.
   * @param step what it is about to do, for traces and schedules.
   * @returns nothing when the actor may go on at once.
   */
  point(actor: string, step: string): Promise<void> | undefined;
}

/** Everyone goes on at once: the order is that of the machine. */
export const immediateSchedule: Schedule = { point: () => undefined };
