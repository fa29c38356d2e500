import type { SmcRegisters } from '../../../protocol/conduit.js';
import type { MsgArg } from '../../../protocol/optee-msg.js';
import type { Mobj } from '../memory/mobj.js';

/** THREAD_STATE_FREE, _ACTIVE, _SUSPENDED of OP-TEE's thread_private.h. */
export type ThreadState = 'free' | 'active' | 'suspended';

/** How a thread leaves secure world: back to whoever made the SMC that it runs in. */
interface Exit {
  readonly resolve: (registers: SmcRegisters) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A thread context: from the entry of a yielding call to its final return, also while it is suspended in the normal
 * world for an RPC.
 */
export class Thread {
  state: ThreadState = 'free';
  /** The shared memory that the RPC message lies in when it was allocated by RPC. */
  rpcMobj: Mobj | undefined;
  /** Where this thread writes its RPC messages. */
  rpcArg: MsgArg | undefined;
  /** Shared memory kept for the file operations of one call: thread_rpc_shm_cache_alloc(). */
  shmCache: Mobj | undefined;
  /** What it was entered for, for people: `invoke`. */
  activity = '';
  /** The application that it executes or is about to, by name, and the command. */
  application = '';
  command = 0;
  /** What it asked the normal world for, for people, while it is suspended. */
  request = '';
  /** Ends a computation that an interrupt for the normal world may end early. */
  interrupt: (() => void) | undefined;

  private exit: Exit | undefined;
  /** Set when the thread leaves in the same turn in which it was entered. */
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

  /** How the SMC that entered this thread ends: at once when the thread has already left. */
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

  /** Go back to the normal world. */
  leave(registers: SmcRegisters): void {
    const exit = this.exit;
    this.exit = undefined;
    if (exit === undefined) this.left = registers;
    else exit.resolve(registers);
  }

  /** Secure world died under it. */
  fail(error: Error): void {
    this.exit?.reject(error);
    this.exit = undefined;
  }

  /** Leave for an RPC; the registers with which the normal world comes back. */
  suspend(registers: SmcRegisters): Promise<SmcRegisters> {
    this.state = 'suspended';
    const back = new Promise<SmcRegisters>((resolve) => {
      this.proceed = resolve;
    });
    this.leave(registers);
    return back;
  }

  /** The normal world came back. False when the thread does not wait for it. */
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
