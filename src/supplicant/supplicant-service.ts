import type { TeeParam } from '../tee/tee-param.js';

/** What a service can say of a request besides its answer. */
export interface Serving {
  /**
   * Nobody may want the answer when it is there: the client has died. Then this is done, to give back what was opened for
   * it, because secure world never learns of it.
   */
  ifUnwanted(undo: () => void | Promise<void>): void;
  /** Should the call fail for which this is asked: what was answered may be why. */
  remark(why: string): void;
  /** Something failed that the answer does not show. */
  report(failure: unknown): void;
}

/**
 * Serves one kind of request of secure world. It updates output parameters in place and returns a TEE result. What it
 * throws goes through `failureOf`: a `TeecError` becomes its code, anything else the result that OP-TEE expects of such a
 * request, and is reported.
 */
export interface SupplicantService {
  (params: readonly TeeParam[], serving?: Serving): number | Promise<number>;
  /** The supplicant leaves: close what is open, as the kernel does for a process that ends. */
  readonly leave?: () => void | Promise<void>;
}
