import { TeeResult } from '../protocol/tee-result.js';
import { commsError } from '../tee/teec-error.js';

/**
 * Allows one TEE at a time to use a file system. A new supplicant of the same TEE may claim it before the previous one
 * has released it.
 */
export class SingleOwner {
  private owner: object | undefined;
  private claims = 0;

  /**
   * @param what the name of the file system, for the error.
   * @param first called before the first claim of an owner. The function that it returns is called after the last one
   *   ends.
   */
  constructor(
    private readonly what: string,
    private readonly first: () => () => void = () => () => {},
  ) {}

  private undo = () => {};

  /** @returns ends the claim; further calls have no effect. @throws TeecError BUSY */
  claim(owner: object): () => void {
    if (this.owner !== undefined && this.owner !== owner)
      throw commsError(TeeResult.ERROR_BUSY, `${this.what}: another TEE of this process uses it`);
    if (this.owner === undefined) this.undo = this.first();
    this.owner = owner;
    this.claims++;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.claims--;
      if (this.claims > 0) return;
      this.owner = undefined;
      this.undo();
    };
  }
}
