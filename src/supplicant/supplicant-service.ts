import type { TeeParam } from '../tee/tee-param.js';

/** What a service can report about a request in addition to its result. */
export interface Serving {
  /**
   * Register an undo for a request whose answer is not delivered because its client has died. It releases the resource
   * that was opened, because secure world never learns of it.
   */
  ifUnwanted(undo: () => void | Promise<void>): void;
  /** A possible reason, used in the error if the call that made the request fails. */
  remark(why: string): void;
  /** Report a failure that the answer does not show. */
  report(failure: unknown): void;
}

/**
 * Serves one kind of request of secure world. It updates output parameters in place and returns a TEE result. An error
 * goes through `failureOf`: a `TeecError` gives its code; any other error is reported and gives the result that OP-TEE
 * expects for this kind of request.
 */
export interface SupplicantService {
  (params: readonly TeeParam[], serving?: Serving): number | Promise<number>;
  /** The supplicant leaves: close all open resources, as the kernel does for a process that exits. */
  readonly leave?: () => void | Promise<void>;
}
