import type { Clock } from '../../clock/clock.js';
import type { Trace } from '../../trace/trace.js';
import { formatTime } from '../duration.js';
import type { ScenarioFaults } from '../scenario.js';

/** Linux's freezer: during system suspend, processes of user space do not run. */
export class Freezer {
  private frozen: Promise<void> | undefined;
  private thaw: () => void = () => {};
  /** Times of suspend and resume, in milliseconds of the run's clock. */
  readonly suspends: { readonly at: number; resumed: number | undefined }[] = [];
  private next: number | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly trace: Trace,
  ) {}

  /** Set timers for all suspends. */
  begin({ suspends }: ScenarioFaults): void {
    for (const { at, resumes } of suspends) {
      this.clock.setTimer(at, () => this.suspend(resumes));
      if (resumes !== undefined) this.clock.setTimer(resumes, () => this.resume());
    }
  }

  /** Resolves when user space runs again; undefined if it runs now. */
  thawed(): Promise<void> | undefined {
    return this.frozen;
  }

  /** Whether user space is frozen and will not be resumed. */
  get forEver(): boolean {
    return this.frozen !== undefined && this.next === undefined;
  }

  private suspend(resumes: number | undefined): void {
    this.next = resumes;
    this.suspends.push({ at: this.clock.now(), resumed: undefined });
    this.frozen ??= new Promise((thaw) => {
      this.thaw = thaw;
    });
    this.trace.mark('the system suspends: user space is frozen');
  }

  private resume(): void {
    const last = this.suspends.at(-1);
    if (last !== undefined) last.resumed ??= this.clock.now();
    this.frozen = undefined;
    this.thaw();
    this.trace.mark('the system resumes');
  }
}

/** The suspends as sentences. @param from the start of the run, in milliseconds of its clock. */
export function suspendSentences({ suspends }: Freezer, from: number): string[] {
  return suspends.map(({ at, resumed }) => {
    const until = resumed === undefined ? ', and did not resume' : ` and resumed at ${formatTime(resumed - from)}`;
    return `The system suspended at ${formatTime(at - from)}${until}.`;
  });
}
