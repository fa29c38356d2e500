import { type Clock, sleep } from '../../clock/clock.js';
import type { Random } from '../../clock/random.js';
import { drawTime } from '../duration.js';
import type { Locks } from '../journal/locks.js';
import type { OpenCall, Task } from '../journal/run-journal.js';
import type { Freezer } from '../pieces/freezer.js';
import type { Processors } from '../pieces/processors.js';
import type { ClientStep } from '../scenario.js';
import type { RunningClient } from './running-client.js';

/** The parts of a run that callers use. */
export interface CallerSurroundings {
  readonly clock: Clock;
  readonly locks: Locks<OpenCall>;
  readonly processors: Processors;
  readonly freezer: Freezer;
  /** The start of the run, in milliseconds of its clock. */
  readonly began: number;
  /** Whether the client's context still exists. */
  lives(label: string): boolean;
  openPort(running: RunningClient, task: CallerTask): Promise<void>;
  closePort(running: RunningClient): Promise<void>;
  /** @returns false if the call failed, which ends the round. */
  succeeds(
    running: RunningClient,
    task: CallerTask,
    application: string,
    command: string,
    random: Random,
  ): Promise<boolean>;
  /** Change the session or the memory of a client while its threads run. */
  changeResources(running: RunningClient, task: CallerTask, step: 'close' | 'free' | 'system' | 'open'): Promise<void>;
  notify(notification: number): Promise<void>;
}

/** A caller, as a task that can hold locks. */
export class CallerTask implements Task {
  waitsFor: Task['waitsFor'];
  /** The present invocation, with its call. */
  inside: { readonly call: OpenCall | undefined } | undefined;

  constructor(readonly name: string) {}

  call(): OpenCall | undefined {
    return this.inside?.call;
  }
}

/** One thread of a client: executes its steps, and repeats them. */
export class Caller {
  private readonly task: CallerTask;

  /** @param number the index of the client among those of its kind, from 0. */
  constructor(
    private readonly running: RunningClient,
    private readonly number: number,
    private readonly random: Random,
    private readonly run: CallerSurroundings,
  ) {
    this.task = new CallerTask(running.label);
  }

  async work(): Promise<void> {
    const { running, random } = this;
    const { client } = running;
    const { clock } = this.run;
    const start = drawTime(client.start, random) + client.stagger * this.number;
    if (start > 0) await sleep(clock, start);
    let next = clock.now();
    for (let round = 0; round < client.repeat; round++) {
      if (client.every !== undefined) {
        if (round > 0) next = Math.max(clock.now(), next + drawTime(client.every, random));
        if (next > clock.now()) await sleep(clock, next - clock.now());
      }
      // After a failed call the caller ends, unless it opens a new session each round and its client is alive.
      const through = await this.round();
      if (!through && !(client.sessionEachRound && this.run.lives(running.label))) return;
    }
  }

  /** Execute the steps once. False if a call failed, which ends the round. */
  private async round(): Promise<boolean> {
    const { running, run, task } = this;
    const { client } = running;
    if (client.sessionEachRound) {
      const frozen = this.frozen();
      if (frozen !== undefined) await frozen;
      await run.openPort(running, task);
      if (running.has.ports.size === 0) return false;
    }
    const through = await this.steps(client.steps);
    if (client.sessionEachRound) await run.closePort(running);
    return through;
  }

  private async steps(steps: readonly ClientStep[]): Promise<boolean> {
    const { running, run, random, task } = this;
    const { clock } = run;
    for (const step of steps) {
      const frozen = this.frozen();
      if (frozen !== undefined) await frozen;
      switch (step.step) {
        case 'wait':
          await sleep(clock, drawTime(step.time, random));
          break;
        case 'until': {
          const left = run.began + step.time - clock.now();
          if (left > 0) await sleep(clock, left);
          break;
        }
        case 'compute': {
          const time = drawTime(step.time, random);
          await run.processors.compute(time, running.client.priority, (part) => sleep(clock, part));
          break;
        }
        case 'hold': {
          let through = true;
          await run.locks.get(step.lock).held(task, async () => {
            through = await this.steps(step.steps);
          });
          if (!through) return false;
          break;
        }
        case 'notify':
          await run.notify(step.notification);
          break;
        case 'invoke':
          if (!(await run.succeeds(running, task, step.application, step.command, random))) return false;
          break;
        default:
          await run.changeResources(running, task, step.step);
      }
    }
    return true;
  }

  /** Processes are frozen while the system is suspended; kernel threads are not. */
  private frozen(): Promise<void> | undefined {
    return this.running.owner.kernel ? undefined : this.run.freezer.thawed();
  }
}
