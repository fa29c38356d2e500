import type { Tee } from '../../client/tee.js';
import type { SecureWorld } from '../../protocol/secure-world.js';
import type { Verdict } from './verdict.js';

/** A secure world while inputs are executed on it: what it covers, what it says, whether it goes on. */
export interface Machine extends AsyncDisposable {
  readonly tee: Tee;
  readonly world: SecureWorld;
  readonly about: string;
  readonly isDead: boolean;
  /** What was covered since the last time, which is cleared. */
  drain(each: (feature: number, count: number) => void): void;
  /** What it has of clients though they have given everything back: for those that can be asked. */
  left?(): readonly Verdict[];
  /**
   * Do something with it, and say what of it may not be.
   * @param onWaiting a call has been waiting in the normal world for long: it is to be ended.
   */
  execute(work: () => Promise<readonly Verdict[]>, onWaiting: () => void): Promise<readonly Verdict[]>;
}
