import { EventKind } from '../../trace/event-codec.js';
import type { Trace } from '../../trace/trace.js';
import { featureCount } from '../engine/feature-map.js';
import { withoutNumbers } from '../engine/verdict.js';

/** The largest number of texts whose hash is cached. */
const mostTexts = 10_000;
/**
 * Event kinds whose code is part of the feature. Calls, sessions and cookies are left out: their numbers differ from
 * call to call.
 */
const codes: ReadonlySet<number> = new Set<number>([
  EventKind.callEnd,
  EventKind.worldEnter,
  EventKind.worldExit,
  EventKind.rpcBegin,
  EventKind.rpcEnd,
  EventKind.notification,
]);

/**
 * Coverage of code in this process, from the trace instead of the inspector, which would be slow. A feature is an event
 * with its code together with the event before it, or a refused call with its reason.
 */
export class StateFeatures {
  private readonly counts = new Uint8Array(featureCount);
  private readonly touched: number[] = [];
  private readonly hashes = new Map<string, number>();
  private previous = 0;

  /** Record features from the events of a trace. */
  listen(trace: Trace): void {
    trace.attach({
      record: (kind, _time, _call, a, b, c, text) => {
        const said = kind === EventKind.protocolViolation ? this.hashOf(text) : 0;
        const code = codes.has(kind & 0xff) ? mixed(mixed(a, b), c) : 0;
        this.take(mixed(mixed(kind, code), said));
      },
    });
  }

  /** Record a feature that is not an event: how a call ended. */
  note(text: string): void {
    this.take(this.hashOf(text));
  }

  /** Start a new execution: the next event has no predecessor. */
  begin(): void {
    this.previous = 0;
  }

  drain(each: (feature: number, count: number) => void): void {
    for (const feature of this.touched) {
      each(feature, this.counts[feature] ?? 0);
      this.counts[feature] = 0;
    }
    this.touched.length = 0;
  }

  private take(state: number): void {
    const feature = (this.previous ^ state) & (featureCount - 1);
    this.previous = state >>> 1;
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
