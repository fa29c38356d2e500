/** The state of a call. */
export const CallState = {
  /** In the normal world, before or after the queue. */
  door: 0,
  /** Asleep in the call queue. */
  queue: 1,
  /** In secure world. */
  secure: 2,
  /** In the normal world for an RPC; the call keeps its thread in secure world. */
  rpc: 3,
} as const;

/** A span of a call in one state. Times are in milliseconds; records are indices in the trace's table. */
export interface Segment {
  readonly call: number;
  readonly state: number;
  readonly start: number;
  readonly end: number;
  readonly startRecord: number;
  readonly endRecord: number;
  /** The RPC command; `rpcCommandNotRecorded` if it is unknown or the RPC has no command. */
  readonly command: number;
  /** The function of the RPC, `OpteeSmcRpc`; 0 in other states. */
  readonly rpcFunction: number;
}

/** A wake-up that the queue gave. */
export interface WakeUp {
  readonly record: number;
  readonly time: number;
  /** Indices of the call that got it and of the call that gave it; -1 if unknown. */
  readonly call: number;
  readonly by: number;
  /** The call was not asleep. */
  readonly unused: boolean;
}

/** What an RPC waits for, as reported by the service or client that answers it. */
export interface RpcWait {
  readonly record: number;
  /** Index of the call that it waits for; -1 if none is known. */
  readonly needs: number;
  /** The service or client through which it waits; empty if it no longer waits. */
  readonly through: string;
}

/** A notification that a call in secure world waited for, and its sender. */
export interface Notification {
  /** The records at which it was sent, and at which the waiting RPC was answered. */
  readonly sentRecord: number;
  readonly answeredRecord: number;
  readonly value: number;
  /** Index of the call that sent it by an RPC; -1: secure world's interrupt. */
  readonly by: number;
  /** Index of the waiting call. */
  readonly call: number;
}
