import { RpcCommand } from '../../protocol/optee-rpc-command.js';
import { EventKind, flagBit, kindMask } from '../../trace/event-codec.js';
import type { Trace } from '../../trace/trace.js';
import { featureCount } from '../engine/feature-map.js';
import { withoutNumbers } from '../engine/verdict.js';
import { classOfCode, classOfNumber, classOfResult, classOfReturn } from './value-class.js';

/** The largest number of texts whose hash is cached. */
const mostTexts = 10_000;
/** Seeds of hashes: of transitions within a call, between calls, and of values and texts on their own. */
const [ofCall, ofAll, ofValue] = [0x1f35, 0x2e67, 0x3d93];
const commands = new Set<number>(Object.values(RpcCommand));
/** Events without a call. */
const noCall = 0;

/**
 * Coverage of code in this process, from the trace instead of the inspector, which would be slow. A feature is an event
 * together with the event before it in the same call; an event's kind together with the kind before it, in whichever
 * call; a class of an RPC's values; or a refused call with its reason. Values without a meaning to the driver are no
 * features: their number is unlimited.
 */
export class StateFeatures {
  private readonly counts = new Uint8Array(featureCount);
  private readonly touched: number[] = [];
  private readonly hashes = new Map<string, number>();
  /** By call: the last event. */
  private readonly last = new Map<number, number>();
  private lastKind = 0;
  private isPaused = false;

  /** Record features from the events of a trace. */
  listen(trace: Trace): void {
    trace.attach({
      record: (kind, _time, call, a, b, c, text) => {
        if (this.isPaused) return;
        const event = this.eventOf(kind, a, b, c, text);
        if (call !== noCall) {
          this.take(mixed(mixed(ofCall, this.last.get(call) ?? 0), event));
          this.last.set(call, event);
        } else this.take(mixed(ofValue, event));
        this.take(mixed(mixed(ofAll, this.lastKind), kind));
        this.lastKind = kind;
      },
    });
  }

  /** Record a feature that is not an event: how a call ended. */
  note(text: string): void {
    this.take(mixed(ofValue, this.hashOf(text)));
  }

  /** Start a new execution: the next event has no predecessor. */
  begin(): void {
    this.isPaused = false;
    this.last.clear();
    this.lastKind = 0;
  }

  /** Record nothing, until `resume` or `begin`. */
  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  drain(each: (feature: number, count: number) => void): void {
    for (const feature of this.touched) {
      each(feature, this.counts[feature] ?? 0);
      this.counts[feature] = 0;
    }
    this.touched.length = 0;
  }

  /** An event with its codes. Calls, sessions and cookies are left out: their numbers differ from call to call. */
  private eventOf(kind: number, a: number, b: number, c: number, text: string): number {
    switch (kind & kindMask) {
      case EventKind.callEnd:
      case EventKind.worldExit:
        return mixed(kind, classOfReturn(a));
      case EventKind.worldEnter:
        return mixed(kind, a);
      case EventKind.callBegin:
        return mixed(kind, b);
      case EventKind.rpcBegin: {
        const command = mixed(kind, classOfCode(a, commands));
        if ((kind & flagBit) !== 0) {
          this.take(mixed(mixed(command, 1), classOfNumber(b)));
          if (a === RpcCommand.shmAlloc) this.take(mixed(mixed(command, 2), classOfNumber(c)));
        }
        return command;
      }
      case EventKind.rpcEnd:
        return mixed(mixed(kind, classOfCode(a, commands)), classOfResult(b));
      case EventKind.notification:
        return mixed(kind, classOfNumber(a));
      case EventKind.protocolViolation:
        return mixed(kind, this.hashOf(text));
      default:
        return kind;
    }
  }

  private take(state: number): void {
    const feature = state & (featureCount - 1);
    const count = this.counts[feature] ?? 0;
    if (count === 0) this.touched.push(feature);
    if (count < 255) this.counts[feature] = count + 1;
  }

  private hashOf(text: string): number {
    const known = this.hashes.get(text);
    if (known !== undefined) return known;
    let hash = 1;
    for (const word of withoutNumbers(text).split(' '))
      for (const letter of word) hash = mixed(hash, letter.codePointAt(0) ?? 0);
    if (this.hashes.size >= mostTexts) this.hashes.clear();
    this.hashes.set(text, hash);
    return hash;
  }
}

function mixed(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, 0x9e37_79b1);
  return (product ^ (product >>> 15)) >>> 0;
}
