import { constants } from 'node:os';
import { startTimer } from '../../clock/timer.js';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** If ending takes longer than this, it is printed what is waited for. Milliseconds. */
const sayAfterMs = 1000;
/**
 * Longest time to end. It is longer than the 10 s of a supplicant for the last requests of a dead client. Milliseconds.
 */
const giveUpAfterMs = 15_000;

/**
 * Ends a command that others use when a signal arrives, in bounded time. It prints what the end waits for; a second
 * signal ends the process at once. Secure world's QEMU and temporary folders are removed with the process in any case.
 */
export class Ending implements Disposable {
  /** Resolves when a signal has requested the end. */
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

  /** Handle signals from now on; before, a signal ends the process. */
  run(): void {
    this.state = 'running';
  }

  /** Begin the end. @param waitsFor describes what it waits for. */
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
