import { OpteeSmcReturn, rpcFunction } from '../protocol/optee-smc.js';
import { maxThreads, rpcCommandNotRecorded, type TraceSubject } from './event.js';
import { EventKind, flagBit, kindMask } from './event-codec.js';
import { rpcName } from './rpc-name.js';
import type { TraceRecorder } from './trace.js';

export interface LiveCall {
  readonly call: number;
  readonly client: string;
  readonly since: number;
  /** `asleep`, `in secure world`, `RPC FS`, `on its way`. */
  doing: string;
  asleep: boolean;
  inside: boolean;
  thread: number | undefined;
}

/** The current state of a running program, from its trace as it arrives. Keeps only open calls and counters. */
export class LiveState implements TraceRecorder {
  subject: TraceSubject = {};
  /** By number, oldest first. */
  readonly calls = new Map<number, LiveCall>();
  /** Totals since the beginning. */
  ended = 0;
  rpcs = 0;
  sleeps = 0;
  threadLimits = 0;
  /** Times of the first and last event, in milliseconds. */
  begin = Number.NaN;
  time = 0;
  lastNote = '';

  describe(subject: TraceSubject): void {
    this.subject = subject;
  }

  record(kind: number, time: number, call: number, a: number, b: number, c: number, text: string): void {
    if (Number.isNaN(this.begin)) this.begin = time;
    this.time = time;
    const type = kind & kindMask;
    if (type === EventKind.callBegin) {
      const at = c === 0 ? 'on its way' : 'in secure world';
      this.calls.set(call, {
        call,
        client: text,
        since: time,
        doing: at,
        asleep: false,
        inside: c !== 0,
        thread: undefined,
      });
      return;
    }
    if (type === EventKind.secureConsole || type === EventKind.mark || type === EventKind.simulatedFault) {
      this.lastNote = text;
      return;
    }
    const live = this.calls.get(call);
    if (live === undefined) return;
    const is = (doing: string, asleep: boolean, inside: boolean) => {
      live.doing = doing;
      live.asleep = asleep;
      live.inside = inside;
    };
    switch (type) {
      case EventKind.queueSleep:
        this.sleeps++;
        is('asleep', true, false);
        break;
      case EventKind.queueWake:
        if ((kind & flagBit) !== 0) is('woken', false, false);
        break;
      case EventKind.worldEnter:
        is('in secure world', false, true);
        break;
      case EventKind.worldExit:
        if ((kind & flagBit) !== 0) {
          live.thread = b < maxThreads ? b : undefined;
          this.rpcs++;
          is(`RPC ${rpcName(rpcCommandNotRecorded, rpcFunction(a))}`, false, true);
        } else {
          if (a === OpteeSmcReturn.ethreadLimit) this.threadLimits++;
          is('on its way', false, false);
        }
        break;
      case EventKind.rpcBegin:
        if (a !== rpcCommandNotRecorded) live.doing = `RPC ${rpcName(a, 0)}`;
        break;
      case EventKind.callEnd:
        this.calls.delete(call);
        this.ended++;
        break;
      default:
        break;
    }
  }
}
