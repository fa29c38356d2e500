import { EventKind } from '../../trace/event-codec.js';
import type { Trace } from '../../trace/trace.js';
import { featureCount } from '../engine/feature-map.js';
import { withoutNumbers } from '../engine/verdict.js';

/** Texts whose hash is remembered. */
const mostTexts = 10_000;
/** Numbers that carry on from call to call, and say nothing: call, session and cookie. */
const codes: ReadonlySet<number> = new Set<number>([
  EventKind.callEnd,
  EventKind.worldEnter,
  EventKind.worldExit,
  EventKind.rpcBegin,
  EventKind.rpcEnd,
  EventKind.notification,
]);

/**
 * Coverage in this process, without the cost of a debugger: what the driver does is what it tells. A feature is an event after
 * another, with its code, or what was refused and why.
 */
export class StateFeatures {
  private readonly counts = new Uint8Array(featureCount);
  private readonly touched: number[] = [];
  private readonly hashes = new Map<string, number>();
  private previous = 0;

  /** Take what a trace tells from now on. */
  listen(trace: Trace): void {
    trace.attach({
      record: (kind, _time, _call, a, b, c, text) => {
        const said = kind === EventKind.protocolViolation ? this.hashOf(text) : 0;
        const code = codes.has(kind & 0xff) ? mixed(mixed(a, b), c) : 0;
        this.take(mixed(mixed(kind, code), said));
      },
    });
  }

  /** Something that happened besides: how a call ended. */
  note(text: string): void {
    this.take(this.hashOf(text));
  }

  /** What comes next follows nothing. */
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
