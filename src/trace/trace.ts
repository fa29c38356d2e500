import type { Clock } from '../clock/clock.js';

/** What a yielding call is for. */
export type CallPurpose =
  | 'open-session'
  | 'invoke'
  | 'close-session'
  | 'cancel'
  | 'register-shm'
  | 'unregister-shm'
  | 'bottom-half'
  | 'stop-notifications';

/** Something that happened. Calls are numbered from 1 in the order in which they begin. */
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
  /** The queue gave the call its wake-up. */
  | { readonly type: 'queue-wake'; readonly call: number }
  /** The processor goes to secure world with this function id. */
  | { readonly type: 'world-enter'; readonly call: number; readonly function: number }
  /** It is back, with this a0. `thread` is secure world's thread id when an RPC left it suspended. */
  | { readonly type: 'world-exit'; readonly call: number; readonly a0: number; readonly thread?: number }
  /** Secure world asks for something: an RPC command, with its first value parameter where it has one. */
  | {
      readonly type: 'rpc-begin';
      readonly call: number;
      readonly command: number;
      readonly a?: number;
      readonly b?: number;
    }
  | { readonly type: 'rpc-end'; readonly call: number; readonly command: number; readonly result: number }
  | { readonly type: 'session-open'; readonly session: number; readonly context: string; readonly uuid: string }
  | { readonly type: 'session-close'; readonly session: number; readonly context: string }
  | { readonly type: 'system-session'; readonly session: number; readonly granted: boolean }
  /** Secure world notified this value by its interrupt; 0 asks for bottom half processing. */
  | { readonly type: 'notification'; readonly value: number }
  /** The other world broke the protocol; the driver refused and went on. */
  | { readonly type: 'protocol-violation'; readonly call: number; readonly what: string }
  /** A line of secure world's console. */
  | { readonly type: 'secure-console'; readonly line: string };

/** An event with the time at which it happened, in milliseconds of the driver's clock. */
export type TimedTraceEvent = TraceEvent & { readonly time: number };

export type TraceListener = (event: TimedTraceEvent) => void;

/**
 * The one stream of events. Whoever has something to say asks `on` first, so that nothing is built, and nothing costs,
 * while nobody listens.
 */
export class Trace {
  private listeners: readonly TraceListener[] = [];

  constructor(private readonly clock: Clock) {}

  /** Somebody listens. */
  get on(): boolean {
    return this.listeners.length > 0;
  }

  emit(event: TraceEvent): void {
    const timed = { ...event, time: this.clock.now() };
    for (const listener of this.listeners) listener(timed);
  }

  /** Listen until the function returned is called. */
  listen(listener: TraceListener): () => void {
    this.listeners = [...this.listeners, listener];
    return () => {
      this.listeners = this.listeners.filter((other) => other !== listener);
    };
  }
}
