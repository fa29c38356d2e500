import type { TraceVerdict } from './verdict.js';

/** What a yielding call is for. A purpose's number in a trace file is its place in this list: append only. */
export const callPurposes = [
  'open-session',
  'invoke',
  'close-session',
  'cancel',
  'register-shm',
  'unregister-shm',
  'bottom-half',
  'stop-notifications',
  /** Imported from a record that does not say. */
  'unknown',
] as const;
export type CallPurpose = (typeof callPurposes)[number];

/** The number of each purpose. */
export const purposeNumbers = Object.fromEntries(callPurposes.map((purpose, number) => [purpose, number])) as Readonly<
  Record<CallPurpose, number>
>;

/** The `command` of an RPC whose command was not recorded: Linux's tracepoints show only the RPC function. */
export const rpcCommandNotRecorded = 0xffff_ffff;

/**
 * Threads of secure world have numbers below this. OP-TEE's platforms have 1 to 32 (CFG_NUM_THREADS); a larger number comes
 * from a secure world, or a file, that is wrong.
 */
export const maxThreads = 1024;

/** The `thread` of a call that an RPC left suspended on a thread whose number is not known. */
export const threadNotRecorded = 0xffff_ffff;

/**
 * Times lie between plus and minus this: milliseconds, 126 years. Nanoseconds between two of them fit 63 bits.
 */
export const largestTimeMs = 4e12;

/**
 * Something that happened. Calls are numbered from 1 in the order in which they begin; a call 0 is none. Every number is
 * an unsigned integer of 32 bits; of a wider value the lower half is kept.
 */
export type TraceEvent =
  /** A call begins, before it asks the queue. `context` is the label of the client context. */
  | {
      readonly type: 'call-begin';
      readonly call: number;
      readonly context: string;
      readonly purpose: CallPurpose;
      readonly session: number;
      readonly system: boolean;
    }
  /** The call is over, with secure world's SMC return code (OPTEE_SMC_RETURN_*). */
  | { readonly type: 'call-end'; readonly call: number; readonly smcReturn: number }
  /** The call may not enter and sleeps in the queue; `limit` after secure world answered ETHREAD_LIMIT. */
  | { readonly type: 'queue-sleep'; readonly call: number; readonly limit: boolean }
  /**
   * The queue gave the call its wake-up, in a step of call `by` (0: of no call, as when a reservation ends). A call that
   * was not asleep cannot use it: with Linux's queues the wake-up may then be lost.
   */
  | { readonly type: 'queue-wake'; readonly call: number; readonly by: number; readonly asleep: boolean }
  /** The processor goes to secure world with this function id. */
  | { readonly type: 'world-enter'; readonly call: number; readonly function: number }
  /**
   * It is back, with this a0. `thread` is secure world's thread id when an RPC left it suspended: below `maxThreads`, or
   * `threadNotRecorded`.
   */
  | { readonly type: 'world-exit'; readonly call: number; readonly a0: number; readonly thread?: number }
  /** Secure world asks for something: an RPC command, with the first value parameter where it has one. */
  | {
      readonly type: 'rpc-begin';
      readonly call: number;
      readonly command: number;
      readonly a?: number;
      readonly b?: number;
    }
  | { readonly type: 'rpc-end'; readonly call: number; readonly command: number; readonly result: number }
  /**
   * The RPC that a call is in waits for something: for call `needs` (0: for no call, or one that has not begun), by way of
   * `through`, the service or client that is to answer. With 0 and '' it waits no more. Only a program that knows it can say.
   */
  | { readonly type: 'rpc-wait'; readonly call: number; readonly needs: number; readonly through: string }
  | { readonly type: 'session-open'; readonly session: number; readonly context: string; readonly uuid: string }
  | { readonly type: 'session-close'; readonly session: number; readonly context: string }
  | { readonly type: 'system-session'; readonly session: number; readonly granted: boolean }
  /** Secure world notified this value by its interrupt; 0 asks for bottom half processing. */
  | { readonly type: 'notification'; readonly value: number }
  /** The other world broke the protocol; the driver refused and went on. */
  | { readonly type: 'protocol-violation'; readonly call: number; readonly what: string }
  /** A line of secure world's console. */
  | { readonly type: 'secure-console'; readonly line: string }
  /** The simulated world did something wrong because it was told to. */
  | { readonly type: 'simulated-fault'; readonly what: string }
  /** A trusted application of the simulated world panicked. */
  | { readonly type: 'ta-panic'; readonly uuid: string; readonly code: number }
  /** A client is about to ask its session for a command; the call of this client that carries it comes next. */
  | {
      readonly type: 'invocation';
      readonly context: string;
      readonly application: string;
      readonly command: string;
    }
  /** A program's own note: the name of a test, the step of a scenario. */
  | { readonly type: 'mark'; readonly text: string };

/** An event with the time at which it happened, in milliseconds of the driver's clock. */
export type TimedTraceEvent = TraceEvent & { readonly time: number };

export type TraceListener = (event: TimedTraceEvent) => void;

/** What a trace is of. Everything is optional: a record may come from elsewhere. */
export interface TraceSubject {
  /** The secure world: `simulated`, `qemu`, or the machine of an imported record. */
  readonly world?: string;
  /** The call queue's discipline. */
  readonly queue?: string;
  /** Thread contexts that secure world announced, up to `maxThreads`; 0: it does not say. */
  readonly threads?: number;
  /** Whose milliseconds the times are. */
  readonly clock?: 'machine' | 'virtual' | 'linux';
  /** When recording began: ISO 8601. */
  readonly startedAt?: string;
  /** What a person calls this run. */
  readonly title?: string;
  /** From when people count: what came before is set-up. Milliseconds of the trace's clock. */
  readonly originMs?: number;
  readonly verdict?: TraceVerdict;
  /** Recording stopped when the file had as many bytes as it may have. */
  readonly cutAtBytes?: number;
}
