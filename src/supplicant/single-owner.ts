import { TeeResult } from '../protocol/tee-result.js';
import { commsError } from '../tee/teec-error.js';

/** One TEE at a time has a file system; supplicants of the same TEE may follow each other before the last is quite gone. */
export class SingleOwner {
  private owner: object | undefined;
  private claims = 0;

  /**
   * @param what it is, for the error.
   * @param first what to do before the first claim of an owner. What it returns undoes it after the last.
   */
  constructor(
    private readonly what: string,
    private readonly first: () => () => void = () => () => {},
  ) {}

  private undo = () => {};

  /** @returns ends the claim; further calls do nothing. @throws TeecError BUSY */
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
