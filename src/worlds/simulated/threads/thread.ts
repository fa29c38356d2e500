import type { SmcRegisters } from '../../../protocol/conduit.js';
import type { MsgArg } from '../../../protocol/optee-msg.js';
import type { Mobj } from '../memory/mobj.js';

/** THREAD_STATE_FREE, _ACTIVE, _SUSPENDED of OP-TEE's thread_private.h. */
export type ThreadState = 'free' | 'active' | 'suspended';

/** The exit of a thread to the normal world: it settles the SMC in which the thread runs. */
interface Exit {
  readonly resolve: (registers: SmcRegisters) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A thread context: from the entry of a yielding call to its final return, including the time for which it is suspended
 * in an RPC.
 */
export class Thread {
  state: ThreadState = 'free';
  /** The shared memory of the RPC message, if it was allocated by RPC. */
  rpcMobj: Mobj | undefined;
  /** The RPC message of this thread. */
  rpcArg: MsgArg | undefined;
  /** Shared memory kept for the file operations of one call: thread_rpc_shm_cache_alloc(). */
  shmCache: Mobj | undefined;
  /** The kind of call that it executes, for messages: `invoke`. */
  activity = '';
  /** The name of the application that it executes or is about to execute, and the command. */
  application = '';
  command = 0;
  /** The RPC that it requested, for messages, while it is suspended. */
  request = '';
  /** Ends a computation early, for an interrupt of the normal world. */
  interrupt: (() => void) | undefined;

  private exit: Exit | undefined;
  /** The result registers, if the thread exits in the same turn in which it was entered. */
  private left: SmcRegisters | undefined;
  private proceed: ((registers: SmcRegisters) => void) | undefined;

  constructor(readonly id: number) {}

  /** The call has ended. */
  free(): void {
    this.state = 'free';
    this.activity = '';
    this.application = '';
    this.command = 0;
  }

  /** The result of the SMC that entered this thread: synchronous if the thread has already exited. */
  outcome(): SmcRegisters | Promise<SmcRegisters> {
    const left = this.left;
    if (left !== undefined) {
      this.left = undefined;
      return left;
    }
    return new Promise((resolve, reject) => {
      this.exit = { resolve, reject };
    });
  }

  /** Exit to the normal world. */
  leave(registers: SmcRegisters): void {
    const exit = this.exit;
    this.exit = undefined;
    if (exit === undefined) this.left = registers;
    else exit.resolve(registers);
  }

  /** Secure world died: fail the SMC in which the thread runs. */
  fail(error: Error): void {
    this.exit?.reject(error);
    this.exit = undefined;
  }

  /** Exit for an RPC. Resolves with the registers of the resume. */
  suspend(registers: SmcRegisters): Promise<SmcRegisters> {
    this.state = 'suspended';
    const back = new Promise<SmcRegisters>((resolve) => {
      this.proceed = resolve;
    });
    this.leave(registers);
    return back;
  }

  /** The normal world resumes the thread. False if the thread is not suspended. */
  resume(registers: SmcRegisters): boolean {
    const proceed = this.proceed;
    if (this.state !== 'suspended' || proceed === undefined) return false;
    this.proceed = undefined;
    this.state = 'active';
    this.request = '';
    proceed(registers);
    return true;
  }
}
