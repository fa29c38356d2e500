import { constants } from 'node:os';
import { startTimer } from '../../clock/timer.js';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** After so long without an end it is said what is waited for, in milliseconds. */
const sayAfterMs = 1000;
/** A supplicant has 10 s for the last requests of a client that died; what takes longer than this is not waited for. */
const giveUpAfterMs = 15_000;

/**
 * The end of a command that others use: it comes when a signal asks for it, and is there in bounded time. What hangs is
 * told; a second signal waits for nothing. Secure world's QEMU and temporary folders go with the process in any case.
 */
export class Ending implements Disposable {
  /** A signal asked for the end. */
  readonly asked: Promise<void>;
  private ask: () => void = () => undefined;
  private state: 'opening' | 'running' | 'ending' = 'opening';
  private readonly cancels: (() => void)[] = [];
  private readonly onSignal = (signal: NodeJS.Signals) => {
    if (this.state === 'running') this.ask();
    else {
      if (this.state === 'ending') console.error(`normalworld: ${signal}: second signal, not waiting any longer`);
      process.exit(128 + constants.signals[signal]);
    }
  };

  constructor() {
    this.asked = new Promise((resolve) => {
      this.ask = resolve;
    });
    for (const signal of signals) process.on(signal, this.onSignal);
  }

  /** From now on a signal asks; before, it ends the process. */
  run(): void {
    this.state = 'running';
  }

  /** What follows is the end. @param waitsFor what it waits for, in words. */
  begin(waitsFor: () => readonly string[]): void {
    if (this.state === 'ending') return;
    this.state = 'ending';
    const say = (what: string) => {
      for (const each of waitsFor()) console.error(`normalworld: ${what} ${each}`);
    };
    this.cancels.push(
      startTimer(sayAfterMs, () => say('still waiting for')),
      startTimer(giveUpAfterMs, () => {
        say('not waiting any longer for');
        process.exit(process.exitCode || 1);
      }),
    );
  }

  [Symbol.dispose](): void {
    for (const cancel of this.cancels) cancel();
    for (const signal of signals) process.off(signal, this.onSignal);
  }
}
