import { CallWaiter } from '../../../optee/call-queue/call-queue.js';

/** What a call is that the driver makes of its own accord, beside the close of a session. */
export type OwnCall =
  /** CANCEL, of a call on the session. */
  | 'cancel'
  /** DO_BOTTOM_HALF. */
  | 'bottom-half'
  /** UNREGISTER_SHM. */
  | 'unregister'
  /** REGISTER_SHM, of memory for a call on the session. */
  | 'register';

/** What one caller does, one operation after the other. */
export type Operation =
  | {
      /** `call`: one yielding call (invoke, open). `close`: the session leaves the list, one call, then its release. */
      readonly op: 'call' | 'close';
      /** A call that the driver makes of its own accord; left out: the client's, or the close. */
      readonly own?: OwnCall | undefined;
      /** The session used; -1: one that is never a system session. */
      readonly session: number;
      /** How often the call suspends in an RPC. */
      readonly rpc: number;
      /** The call returns only after this caller has finished its whole list; -1: it depends on nobody. */
      readonly needs: number;
      /** The call never returns. */
      readonly forever: boolean;
    }
  | {
      /** The session asks to become a system session: `tee_client_system_session()`. */
      readonly op: 'system_session';
      readonly session: number;
    };

/** The call ends or wakes others, or gives back what they may wait for. */
export function isRelief(operation: Operation): boolean {
  if (operation.op === 'system_session') return false;
  return operation.op === 'close' || (operation.own !== undefined && operation.own !== 'register');
}

/** Where a caller stands, apart from what the call queue knows of it. */
export type Stage =
  /** Between two operations. */
  | 'idle'
  /** The session was looked up; about to enter the call queue. */
  | 'begun'
  /** In the queue's hands: asleep, woken, or between two of its sections. */
  | 'waiting'
  /** May make its SMC. */
  | 'ready'
  /** Secure world has answered ETHREAD_LIMIT; the call queue does not know yet (hand-off only). */
  | 'limited'
  | 'in_secure'
  /** Suspended: the thread context stays allocated. */
  | 'in_rpc'
  /** Back for good; the call queue does not know yet. */
  | 'returned'
  /** In the middle of leaving the queue, holding its lock (fine steps only). */
  | 'leaving'
  /** A system session's close has returned; its reservation is about to end. */
  | 'releasing'
  | 'done';

/** One step of a caller, atomic with respect to all others. Named after the section of Linux that it stands for. */
export type Step =
  | 'system_session'
  | 'begin'
  | 'wait_init'
  | 'wait_return'
  | 'requeue'
  | 'recheck'
  | 'smc'
  | 'thread_limit'
  | 'rpc_out'
  | 'rpc_back'
  | 'smc_return'
  | 'wait_final'
  | 'wait_final_second'
  | 'release';

/** One thread of the normal world. */
export class Caller {
  readonly waiter: CallWaiter;
  /** Which operation it is at; the length of the list when done. */
  index = 0;
  stage: Stage;
  /** The call at hand is a system call; looked up when it begins. */
  system = false;
  /** RPCs that the call at hand has yet to make. */
  rpcLeft = 0;
  private readonly reliefAt: readonly boolean[];

  constructor(
    readonly label: number,
    readonly operations: readonly Operation[],
    /** Begins again when it is through its list. */
    readonly repeats: boolean,
  ) {
    this.waiter = new CallWaiter(label);
    this.stage = operations.length > 0 ? 'idle' : 'done';
    this.reliefAt = operations.map(isRelief);
  }

  /** The operation at hand is a relief call. */
  get relief(): boolean {
    return this.reliefAt[this.index] === true;
  }

  /** The operation at hand. */
  get operation(): Operation {
    const operation = this.operations[this.index];
    if (operation === undefined) throw new Error(`caller ${this.label} has no operation ${this.index}`);
    return operation;
  }

  endOperation(): void {
    this.index++;
    if (this.repeats && this.index === this.operations.length) this.index = 0;
    this.stage = this.index < this.operations.length ? 'idle' : 'done';
  }
}
