import type { ControlledSchedule } from '../../clock/controlled-schedule.js';
import { type RunEnd, VirtualClock } from '../../clock/virtual-clock.js';

/** What a run does beside its work, whenever virtual time goes on. */
interface Course {
  readonly schedule: ControlledSchedule;
  /** Asked before each step. */
  look(): void;
  /** Nothing moves any more: true when something was let go on. */
  onQuiet(): boolean;
}

/** The virtual time of a run, in stages of a limited time each: opening, the run proper, what comes behind it. */
export class RunTime {
  readonly clock = new VirtualClock();
  /** When the run proper began. */
  from = 0;
  /** From when the time of the run is limited. */
  private limitFrom = 0;
  /** How often the run was let go on. */
  private stages = 0;
  private failure: { readonly error: unknown } | undefined;

  /** @param limit the most that a stage may take, in milliseconds. */
  constructor(private readonly limit: number) {}

  /** The number of its stage, and from when its time is limited. */
  get stage(): readonly [number, number] {
    return [this.stages, this.limitFrom];
  }

  /** Since the run proper began, in milliseconds. */
  get sinceBegin(): number {
    return this.clock.now() - this.from;
  }

  /** When the time of this stage is over. */
  get limitMs(): number {
    return this.limitFrom + this.limit;
  }

  /** The run has its time once more. */
  limitAnew(): void {
    this.limitFrom = this.clock.now();
  }

  /** The run proper begins. */
  begin(): void {
    this.from = this.clock.now();
    this.limitFrom = this.from;
  }

  /** The run ends with this error: what is wrong is the program, not what it runs. The first counts. */
  readonly fail = (error: unknown): void => {
    this.failure ??= { error };
  };

  /** Let virtual time go on until the work is done, or nothing can move, or the limit is there. */
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
    // The clock stands at the last event; whoever waits has waited until the limit.
    if (end === 'limit') await this.clock.advance(limitMs - this.clock.now());
    return end;
  }
}
