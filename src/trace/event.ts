import type { TraceVerdict } from './verdict.js';

/** The purpose of a yielding call. Trace files store the index in this list, so entries may only be appended. */
export const callPurposes = [
  'open-session',
  'invoke',
  'close-session',
  'cancel',
  'register-shm',
  'unregister-shm',
  'bottom-half',
  'stop-notifications',
  /** Imported from a record without this information. */
  'unknown',
] as const;
export type CallPurpose = (typeof callPurposes)[number];

/** The number of each purpose. */
export const purposeNumbers = Object.fromEntries(callPurposes.map((purpose, number) => [purpose, number])) as Readonly<
  Record<CallPurpose, number>
>;

/** The `command` of an RPC if it was not recorded: Linux's tracepoints only have the RPC function. */
export const rpcCommandNotRecorded = 0xffff_ffff;

/**
 * Upper limit of thread numbers, exclusive. OP-TEE's platforms have 1 to 32 threads (CFG_NUM_THREADS); a number from
 * this limit on means that secure world or a file is faulty.
 */
export const maxThreads = 1024;

/** The `thread` of a call that an RPC left suspended, if the thread's number is not known. */
export const threadNotRecorded = 0xffff_ffff;

/**
 * The largest absolute value of a time: 126 years, in milliseconds. The difference of two times in nanoseconds fits
 * into 63 bits.
 */
export const largestTimeMs = 4e12;

/**
 * An event. Calls are numbered from 1 in order of their beginning; 0 means no call. All numbers are unsigned 32-bit
 * integers; wider values are truncated to their lower half.
 */
export type TraceEvent =
  /** A call begins, before it calls the queue. `context` is the label of the client context. */
  | {
      readonly type: 'call-begin';
      readonly call: number;
      readonly context: string;
      readonly purpose: CallPurpose;
      readonly session: number;
      readonly system: boolean;
    }
  /** The call has ended with this SMC return code (OPTEE_SMC_RETURN_*). */
  | { readonly type: 'call-end'; readonly call: number; readonly smcReturn: number }
  /** The call may not enter and sleeps in the queue. `limit`: secure world answered ETHREAD_LIMIT. */
  | { readonly type: 'queue-sleep'; readonly call: number; readonly limit: boolean }
  /**
   * The queue gave the call its wake-up, in a section of call `by` (0: of no call, for example at the end of a
   * reservation). A call that is not asleep cannot use it; in Linux's queues the wake-up may then be lost.
   */
  | { readonly type: 'queue-wake'; readonly call: number; readonly by: number; readonly asleep: boolean }
  /** The call enters secure world with this function id. */
  | { readonly type: 'world-enter'; readonly call: number; readonly function: number }
  /**
   * The call returns with this a0. `thread` is the number of the thread that an RPC left suspended: below `maxThreads`,
   * or `threadNotRecorded`.
   */
  | { readonly type: 'world-exit'; readonly call: number; readonly a0: number; readonly thread?: number }
  /** Secure world makes an RPC: its command, and its first value parameter if it has one. */
  | {
      readonly type: 'rpc-begin';
      readonly call: number;
      readonly command: number;
      readonly a?: number;
      readonly b?: number;
    }
  | { readonly type: 'rpc-end'; readonly call: number; readonly command: number; readonly result: number }
  /**
   * The RPC of a call waits for call `needs` (0: for no call, or one that has not begun), through `through`, which is
   * the service or client that must answer. With 0 and '' it no longer waits. Only programs that know the dependency
   * record this event.
   */
  | { readonly type: 'rpc-wait'; readonly call: number; readonly needs: number; readonly through: string }
  | { readonly type: 'session-open'; readonly session: number; readonly context: string; readonly uuid: string }
  | { readonly type: 'session-close'; readonly session: number; readonly context: string }
  | { readonly type: 'system-session'; readonly session: number; readonly granted: boolean }
  /** Secure world notified this value by its interrupt; 0 requests bottom half processing. */
  | { readonly type: 'notification'; readonly value: number }
  /** The other world violated the protocol. The driver refused the request and continued. */
  | { readonly type: 'protocol-violation'; readonly call: number; readonly what: string }
  /** A line of secure world's console. */
  | { readonly type: 'secure-console'; readonly line: string }
  /** A fault that was injected into the simulated world. */
  | { readonly type: 'simulated-fault'; readonly what: string }
  /** A trusted application of the simulated world panicked. */
  | { readonly type: 'ta-panic'; readonly uuid: string; readonly code: number }
  /** A client is about to invoke a command. The next call of this client carries the command. */
  | {
      readonly type: 'invocation';
      readonly context: string;
      readonly application: string;
      readonly command: string;
    }
  /** A note by the program: the name of a test, the step of a scenario. */
  | { readonly type: 'mark'; readonly text: string };

/** An event with its time, in milliseconds of the driver's clock. */
export type TimedTraceEvent = TraceEvent & { readonly time: number };

export type TraceListener = (event: TimedTraceEvent) => void;

/** Properties of a trace. All are optional, because records may come from elsewhere. */
export interface TraceSubject {
  /** The secure world: `simulated`, `qemu`, or the machine of an imported record. */
  readonly world?: string;
  /** The discipline of the call queue. */
  readonly queue?: string;
  /** Number of thread contexts that secure world announced, up to `maxThreads`; 0 if it announced none. */
  readonly threads?: number;
  /** The clock of the times, which are in milliseconds. */
  readonly clock?: 'machine' | 'virtual' | 'linux';
  /** Start time of the recording: ISO 8601. */
  readonly startedAt?: string;
  /** A title for the user. */
  readonly title?: string;
  /** The start of the workload; earlier events are set-up. Milliseconds of the trace's clock. */
  readonly originMs?: number;
  readonly verdict?: TraceVerdict;
  /** Recording stopped because the file had reached its size limit. */
  readonly cutAtBytes?: number;
}
