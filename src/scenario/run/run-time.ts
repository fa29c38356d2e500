import type { ControlledSchedule } from '../../clock/controlled-schedule.js';
import { type RunEnd, VirtualClock } from '../../clock/virtual-clock.js';

/** Callbacks of a run during a stage. */
interface Course {
  readonly schedule: ControlledSchedule;
  /** Called before each step. */
  look(): void;
  /** Nothing can proceed: returns true if an action was released. */
  onQuiet(): boolean;
}

/** The virtual time of a run, in stages with a limit each: opening, the main phase, and the phases after it. */
export class RunTime {
  readonly clock = new VirtualClock();
  /** The start of the main phase. */
  from = 0;
  /** The start of the limited time. */
  private limitFrom = 0;
  /** The number of stages so far. */
  private stages = 0;
  private failure: { readonly error: unknown } | undefined;

  /** @param limit the maximum duration of a stage in milliseconds. */
  constructor(private readonly limit: number) {}

  /** The number of the stage, and the start of its limited time. */
  get stage(): readonly [number, number] {
    return [this.stages, this.limitFrom];
  }

  /** Milliseconds since the start of the main phase. */
  get sinceBegin(): number {
    return this.clock.now() - this.from;
  }

  /** The end of the limited time of this stage. */
  get limitMs(): number {
    return this.limitFrom + this.limit;
  }

  /** Start the limit again from now. */
  limitAnew(): void {
    this.limitFrom = this.clock.now();
  }

  /** Start the main phase. */
  begin(): void {
    this.from = this.clock.now();
    this.limitFrom = this.from;
  }

  /** End the run with an error of this program, not of the simulated system. The first error counts. */
  readonly fail = (error: unknown): void => {
    this.failure ??= { error };
  };

  /** Run virtual time until the work is done, or nothing can proceed, or the limit is reached. */
  async until(work: Promise<void>, course: Course): Promise<RunEnd> {
    let done = false;
    work.then(() => {
      done = true;
    }, this.fail);
    this.stages++;
    const { limitMs } = this;
    const until = () => {
      course.look();
      return done || this.failure !== undefined;
    };
    let end: RunEnd;
    do end = await this.clock.run({ schedule: course.schedule, limitMs, until });
    while (end === 'quiet' && course.onQuiet());
    if (this.failure !== undefined) throw this.failure.error;
    // The clock is at the last event; advance it to the limit, because waiting calls wait until then.
    if (end === 'limit') await this.clock.advance(limitMs - this.clock.now());
    return end;
  }
}
