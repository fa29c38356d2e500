import type { Tee } from '../../client/tee.js';
import type { SecureWorld } from '../../protocol/secure-world.js';
import type { Verdict } from './verdict.js';

/** A secure world on which inputs are executed: its coverage, its console, and whether it is alive. */
export interface Machine extends AsyncDisposable {
  readonly tee: Tee;
  readonly world: SecureWorld;
  readonly about: string;
  readonly isDead: boolean;
  /** Read and clear the coverage since the last call. */
  drain(each: (feature: number, count: number) => void): void;
  /**
   * What secure world still holds although the clients have released everything; only for machines that can report it.
   */
  left?(): readonly Verdict[];
  /**
   * Execute an input and return its verdicts.
   * @param onWaiting called when a call has been waiting in the normal world for too long and is to be ended.
   */
  execute(work: () => Promise<readonly Verdict[]>, onWaiting: () => void): Promise<readonly Verdict[]>;
}
