import { type OptionNames, requireKnownOptions } from '../known-options.js';
import type { Clock } from './clock.js';
import type { ControlledSchedule } from './controlled-schedule.js';

/** How a run ended. */
export type RunEnd =
  /** Nobody can go on and no timer is set: everything has finished, or waits for something that will not come. */
  | 'quiet'
  /** `until` said so. */
  | 'stopped'
  /** The next timer lies beyond the limit. */
  | 'limit';

export interface RunOptions {
  /** Actors that it holds are let go one at a time, each followed by all that it sets off, before time goes on. */
  readonly schedule?: ControlledSchedule;
  /** Asked whenever nothing moves of itself; true ends the run. */
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

/** Gives timers names, and is told of them again when they go off. */
export interface TimerWatch {
  set(): string;
  fires(name: string): void;
}

/**
 * Time that stands still while anything can happen, and then jumps to the next timer. Timers of the same time go off in
 * the order in which they were set. A run is exactly repeatable as long as all that it does is done in the process, by
 * promises and by this clock; what is done outside passes through `outside`.
 */
export class VirtualClock implements Clock {
  private time = 0;
  /** Ordered by time, then by when they were set. */
  private readonly timers: Timer[] = [];
  /** Names timers, for whoever must tell one run's state from another's. */
  watch: TimerWatch | undefined;
  private readonly pendingOutside = new Set<Promise<unknown>>();

  /** @param epoch what `wallClock()` says at the start: milliseconds since 1970. */
  constructor(private readonly epoch = Date.UTC(2024, 0, 1)) {}

  now(): number {
    return this.time;
  }

  wallClock(): number {
    return this.epoch + this.time;
  }

  /** The timers that are set, in the order in which they will go off. */
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

  /** Work that is done outside virtual time (a file, a process): a run waits for it before it moves anything else. */
  outside<T>(work: Promise<T>): Promise<T> {
    const settled: Promise<void> = work.then(
      () => {},
      () => {},
    );
    this.pendingOutside.add(settled);
    void settled.then(() => this.pendingOutside.delete(settled));
    return work;
  }

  /** Let everything happen until nothing can, or as the options say. */
  async run(options: RunOptions = {}): Promise<RunEnd> {
    requireKnownOptions('VirtualClock.run', options, runNames);
    const { schedule, until, limitMs = Number.POSITIVE_INFINITY } = options;
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
        // What is due now has happened, whoever is held: so all of one moment come to their points together.
        const due = next !== undefined && next.at <= this.time;
        if (!due && schedule?.release() !== undefined) continue;
        if (next === undefined) return 'quiet';
        if (next.at > limitMs) return 'limit';
        this.timers.shift();
        this.time = next.at;
        this.watch?.fires(next.name);
        next.callback();
      }
    } finally {
      turns.close();
    }
  }

  /** Let that much time pass, with everything that happens in it. */
  async advance(ms: number, schedule?: ControlledSchedule): Promise<void> {
    const end = this.time + ms;
    await this.run({ limitMs: end, ...(schedule === undefined ? {} : { schedule }) });
    this.time = end;
  }

  /** Behind all timers that are not later. */
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
 * Turns of the event loop: when the next one comes, every promise that could settle has. A message port gives them
 * without the delay of a timer, in Node and in browsers.
 */
class Turns {
  private readonly channel = new MessageChannel();
  private arrived: () => void = () => {};

  constructor() {
    this.channel.port1.addEventListener('message', () => this.arrived());
    this.channel.port1.start();
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.arrived = resolve;
      this.channel.port2.postMessage(undefined);
    });
  }

  close(): void {
    this.channel.port1.close();
  }
}
