import { CallWaiter } from '../../../optee/call-queue/call-queue.js';

/** A call that the driver makes for itself, apart from the close of a session. */
export type OwnCall =
  /** CANCEL, for a call on the session. */
  | 'cancel'
  /** DO_BOTTOM_HALF. */
  | 'bottom-half'
  /** UNREGISTER_SHM. */
  | 'unregister'
  /** REGISTER_SHM, of memory for a call on the session. */
  | 'register';

/** An operation of a caller. A caller executes its operations in order. */
export type Operation =
  | {
      /**
       * `call`: one yielding call (invoke, open). `close`: the session leaves the list, one call is made, then it is
       * released.
       */
      readonly op: 'call' | 'close';
      /** A call that the driver makes for itself; undefined: a call of a client, or the close. */
      readonly own?: OwnCall | undefined;
      /** The session that is used; -1: one that is never a system session. */
      readonly session: number;
      /** The number of RPCs in which the call suspends. */
      readonly rpc: number;
      /** The call returns only after this caller has finished its whole list; -1: it depends on no caller. */
      readonly needs: number;
      /** The call never returns. */
      readonly forever: boolean;
    }
  | {
      /** Make the session a system session: `tee_client_system_session()`. */
      readonly op: 'system_session';
      readonly session: number;
    };

/** Whether the call is a relief call: it ends or wakes others, or releases resources that they may wait for. */
export function isRelief(operation: Operation): boolean {
  if (operation.op === 'system_session') return false;
  return operation.op === 'close' || (operation.own !== undefined && operation.own !== 'register');
}

/** The position of a caller, apart from its state in the call queue. */
export type Stage =
  /** Between two operations. */
  | 'idle'
  /** The session was looked up; the caller is about to enter the call queue. */
  | 'begun'
  /** In the call queue: asleep, woken, or between two of its sections. */
  | 'waiting'
  /** About to make its SMC. */
  | 'ready'
  /** Secure world has answered ETHREAD_LIMIT, and the call queue was not told yet (hand-off only). */
  | 'limited'
  | 'in_secure'
  /** Suspended in an RPC: the thread context stays allocated. */
  | 'in_rpc'
  /** Finally returned, and the call queue was not told yet. */
  | 'returned'
  /** Leaving the queue, with its lock held (fine steps only). */
  | 'leaving'
  /** The close of a system session has returned; its reservation is about to end. */
  | 'releasing'
  | 'done';

/** One step of a caller, atomic for all others. Named after the section of Linux that it models. */
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
  /** The index of its operation; the length of the list when done. */
  index = 0;
  stage: Stage;
  /** Whether the present call is a system call; determined when it begins. */
  system = false;
  /** The number of RPCs that the present call still makes. */
  rpcLeft = 0;
  private readonly reliefAt: readonly boolean[];

  constructor(
    readonly label: number,
    readonly operations: readonly Operation[],
    /** Whether it starts again at the end of its list. */
    readonly repeats: boolean,
  ) {
    this.waiter = new CallWaiter(label);
    this.stage = operations.length > 0 ? 'idle' : 'done';
    this.reliefAt = operations.map(isRelief);
  }

  /** Whether the present operation is a relief call. */
  get relief(): boolean {
    return this.reliefAt[this.index] === true;
  }

  /** The present operation. */
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
