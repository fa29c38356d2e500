/** Where a call is. */
export const CallState = {
  /** In the normal world, on its way to the queue or from it. */
  door: 0,
  /** Asleep in the call queue. */
  queue: 1,
  /** In secure world. */
  secure: 2,
  /** In the normal world for an RPC; its thread of secure world stays with it. */
  rpc: 3,
} as const;

/** One part of a call's life, in one state. Times in milliseconds; records are places in the trace's table. */
export interface Segment {
  readonly call: number;
  readonly state: number;
  readonly start: number;
  readonly end: number;
  readonly startRecord: number;
  readonly endRecord: number;
  /** The RPC command; `rpcCommandNotRecorded` when it is not known, or not a command. */
  readonly command: number;
  /** The function of the RPC, `OpteeSmcRpc`; 0 in another state. */
  readonly rpcFunction: number;
}

/** A wake-up that the queue gave. */
export interface WakeUp {
  readonly record: number;
  readonly time: number;
  /** Index of the call that got it, and of that in whose step it was given; -1: none that is known. */
  readonly call: number;
  readonly by: number;
  /** It came to a call that was not asleep. */
  readonly unused: boolean;
}

/** What somebody who answers an RPC said that it waits for. */
export interface RpcWait {
  readonly record: number;
  /** Index of the call that it waits for; -1: none that is known. */
  readonly needs: number;
  /** The service or client by way of which it waits; empty when it waits no more. */
  readonly through: string;
}

/** A notification that a call of secure world waited for, and who sent it. */
export interface Notification {
  /** When it was sent, and when the RPC that waited for it was answered. */
  readonly sentRecord: number;
  readonly answeredRecord: number;
  readonly value: number;
  /** Index of the call that sent it by an RPC; -1: secure world's interrupt. */
  readonly by: number;
  /** Index of the call that waited. */
  readonly call: number;
}
