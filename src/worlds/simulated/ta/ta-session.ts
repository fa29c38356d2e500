import { TeeOrigin } from '../../../protocol/tee-result.js';
import { Condition } from '../threads/wait-queue.js';
import type { ClientIdentity } from './client-identity.js';
import type { TaFlags, TaInstanceEntryPoints, TrustedApplication } from './trusted-application.js';
import { taFlags } from './trusted-application.js';

/** THREAD_ID_INVALID: no thread. */
export const noThread = -1;

/** An instance of a trusted application: `struct tee_ta_ctx`. */
export class TaInstance {
  readonly flags: TaFlags;
  /** The entry points; undefined before the first session. */
  entryPoints: TaInstanceEntryPoints | undefined;
  /** Whether its image is being loaded. */
  initializing = false;
  /** The number of sessions that reference it. */
  references = 1;
  busy = false;
  panicked = false;
  readonly busyCondition = new Condition();

  constructor(readonly application: TrustedApplication) {
    this.flags = taFlags(application);
  }

  /** The name for messages. */
  get name(): string {
    return this.application.name ?? this.application.uuid;
  }
}

/** A session: `struct tee_ta_session`. */
export class TaSession {
  instance: TaInstance | undefined;
  /** The number of calls that reference it. */
  references = 1;
  /** The thread that executes in it. */
  lockedBy: number;
  /** It is being closed: no other call can enter it. */
  unlinked = false;
  /** Whether cancellation was requested. */
  cancelled = false;
  /** Whether cancellation is masked. The application can unmask it. */
  cancellationMasked = true;
  /** The origin of the last entry's result: TEE_ORIGIN_*. */
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
