import { type OptionNames, requireAmount, requireKnownOptions } from '../known-options.js';
import type { Clock } from './clock.js';
import type { ControlledSchedule } from './controlled-schedule.js';

/** How a run ended. */
export type RunEnd =
  /** No actor can continue and no timer is set: everything has finished, or waits for an event that will not occur. */
  | 'quiet'
  /** `until` returned true. */
  | 'stopped'
  /** The next timer is later than the limit. */
  | 'limit';

export interface RunOptions {
  /** Its held actors are released one at a time. All work that a release causes is done before time advances. */
  readonly schedule?: ControlledSchedule;
  /** Called whenever no work is left at the current time; true ends the run. */
  readonly until?: () => boolean;
  /** The run ends before a timer later than this, in milliseconds of `now()`. */
  readonly limitMs?: number;
}

const runNames: OptionNames<RunOptions> = { schedule: true, until: true, limitMs: true };

interface Timer {
  readonly at: number;
  readonly callback: () => void;
  readonly name: string;
}

/** Names timers, and is called when they fire. */
export interface TimerWatch {
  set(): string;
  fires(name: string): void;
}

/**
 * A clock that stands still while there is work to do, and then jumps to the next timer. Timers with the same time fire
 * in the order in which they were set. A run is repeatable if all of its work is done in this process, by promises and
 * by this clock. Work done elsewhere must pass through `outside`.
 */
export class VirtualClock implements Clock {
  private time = 0;
  /** Sorted by time, then by the order in which they were set. */
  private readonly timers: Timer[] = [];
  /** Names the timers, so that the states of two runs can be compared. */
  watch: TimerWatch | undefined;
  private readonly pendingOutside = new Set<Promise<unknown>>();

  /** @param epoch what `wallClock()` returns at the start: milliseconds since 1970-01-01 00:00 UTC. */
  constructor(private readonly epoch = Date.UTC(2024, 0, 1)) {}

  now(): number {
    return this.time;
  }

  wallClock(): number {
    return this.epoch + this.time;
  }

  /** The pending timers, in the order in which they will fire. `at` is in milliseconds of `now()`. */
  get pending(): readonly { readonly at: number; readonly name: string }[] {
    return this.timers.map(({ at, name }) => ({ at, name }));
  }

  setTimer(ms: number, callback: () => void): () => void {
    if (!(ms >= 0)) throw new RangeError(`a timer of ${ms} ms`);
    if (ms === Number.POSITIVE_INFINITY) return () => undefined;
    const timer: Timer = { at: this.time + ms, callback, name: this.watch?.set() ?? '' };
    this.timers.splice(this.placeOf(timer.at), 0, timer);
    return () => {
      const index = this.timers.indexOf(timer);
      if (index >= 0) this.timers.splice(index, 1);
    };
  }

  /** Register work done outside virtual time (a file, a process). A run waits for it before it does anything else. */
  outside<T>(work: Promise<T>): Promise<T> {
    const settled: Promise<void> = work.then(
      () => {},
      () => {},
    );
    this.pendingOutside.add(settled);
    void settled.then(() => this.pendingOutside.delete(settled));
    return work;
  }

  /** Run until no work is left, or until an option ends the run. */
  async run(options: RunOptions = {}): Promise<RunEnd> {
    requireKnownOptions('VirtualClock.run', options, runNames);
    const { schedule, until, limitMs = Number.POSITIVE_INFINITY } = options;
    requireAmount('VirtualClock.run', 'limitMs', limitMs);
    const turns = new Turns();
    try {
      for (;;) {
        await turns.next();
        if (this.pendingOutside.size > 0) {
          await Promise.race(this.pendingOutside);
          continue;
        }
        if (until?.()) return 'stopped';
        const next = this.timers[0];
        // Timers due now fire before any actor is released, so all actors of one moment arrive at their points first.
        const due = next !== undefined && next.at <= this.time;
        if (!due && schedule?.release() !== undefined) continue;
        if (next === undefined) return 'quiet';
        if (next.at > limitMs) return 'limit';
        this.timers.shift();
        this.time = Math.max(this.time, next.at);
        this.watch?.fires(next.name);
        next.callback();
      }
    } finally {
      turns.close();
    }
  }

  /** Run for `ms` milliseconds of virtual time. */
  async advance(ms: number, schedule?: ControlledSchedule): Promise<void> {
    const end = this.time + ms;
    await this.run({ limitMs: end, ...(schedule === undefined ? {} : { schedule }) });
    this.time = Math.max(this.time, end);
  }

  /** Let time pass as in work that takes it. Timers that become due fire in the next run, or as this one continues. */
  elapse(ms: number): void {
    requireAmount('VirtualClock.elapse', 'ms', ms);
    this.time += ms;
  }

  /** The index behind all timers whose time is `at` or earlier. */
  private placeOf(at: number): number {
    let low = 0;
    let high = this.timers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.timers[middle]?.at ?? at) <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * Node's own turn, taken here once: test frameworks replace it by one that stands still. Undefined in browsers.
 */
const immediate: ((callback: () => void) => unknown) | undefined =
  typeof setImmediate === 'function' ? setImmediate : undefined;

/**
 * Turns of the event loop. When the next turn comes, every promise that could settle has settled. A message port gives
 * a turn without the delay of a timer in browsers; in Node, opening one takes longer than a call.
 */
class Turns {
  private readonly channel = immediate === undefined ? new MessageChannel() : undefined;
  private arrived: () => void = () => {};

  constructor() {
    this.channel?.port1.addEventListener('message', () => this.arrived());
    this.channel?.port1.start();
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.arrived = resolve;
      if (immediate !== undefined) immediate(resolve);
      else this.channel?.port2.postMessage(undefined);
    });
  }

  close(): void {
    this.channel?.port1.close();
  }
}
