import { TeeOrigin } from '../../../protocol/tee-result.js';
import { Condition } from '../threads/wait-queue.js';
import type { ClientIdentity } from './client-identity.js';
import type { TaFlags, TaInstanceEntryPoints, TrustedApplication } from './trusted-application.js';
import { taFlags } from './trusted-application.js';

/** Nobody: THREAD_ID_INVALID. */
export const noThread = -1;

/** An instance of a trusted application: `struct tee_ta_ctx`. */
export class TaInstance {
  readonly flags: TaFlags;
  /** The entry points, from the first session on. */
  entryPoints: TaInstanceEntryPoints | undefined;
  /** Its image is being loaded. */
  initializing = false;
  /** Sessions that hold it. */
  references = 1;
  busy = false;
  panicked = false;
  readonly busyCondition = new Condition();

  constructor(readonly application: TrustedApplication) {
    this.flags = taFlags(application);
  }

  /** For people. */
  get name(): string {
    return this.application.name ?? this.application.uuid;
  }
}

/** A session: `struct tee_ta_session`. */
export class TaSession {
  instance: TaInstance | undefined;
  /** Calls that hold it. */
  references = 1;
  /** The thread that executes in it. */
  lockedBy: number;
  /** It is being closed: nobody else gets in. */
  unlinked = false;
  /** Cancellation was asked for. */
  cancelled = false;
  /** Cancellation is masked until the application unmasks it. */
  cancellationMasked = true;
  /** Where the result of the last entry comes from: TEE_ORIGIN_*. */
  errorOrigin: TeeOrigin = TeeOrigin.TEE;
  readonly lockCondition = new Condition();
  readonly referencesCondition = new Condition();

  constructor(
    readonly id: number,
    readonly client: ClientIdentity,
    thread: number,
  ) {
    this.lockedBy = thread;
  }
}
