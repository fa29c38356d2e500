import { largestTimeMs, maxThreads, type TraceSubject, threadNotRecorded } from '../event.js';
import { EventKind, flagBit, kindMask } from '../event-codec.js';
import { checkedVerdict } from '../verdict.js';

/** Called with a description of an invalid number. */
export type Report = (what: string) => void;

/**
 * Check the numbers of a record from outside. Times are finite and ascending; an invalid time is replaced by that of
 * the previous record. A thread number is below `maxThreads` or `threadNotRecorded`. The record itself is kept, because
 * without it a call would stay in its state for ever.
 * @param last the time of the previous record; -largestTimeMs if there is none.
 */
export function checkedRecord(
  kind: number,
  time: number,
  b: number,
  last: number,
  report: Report,
): { readonly time: number; readonly b: number } {
  // Written so that NaN is invalid.
  const known = time >= -largestTimeMs && time <= largestTimeMs;
  if (!known) report(`a time of ${time} ms; times must be between -${largestTimeMs} and ${largestTimeMs}`);
  else if (time < last) report(`a time of ${time} ms after one of ${last}: times must not decrease`);
  const used = known && time >= last ? time : last === -largestTimeMs ? 0 : last;
  const namesThread = (kind & (kindMask | flagBit)) === (EventKind.worldExit | flagBit);
  if (!namesThread || b < maxThreads || b === threadNotRecorded) return { time: used, b };
  report(`thread ${b}; threads must be below ${maxThreads}`);
  return { time: used, b: threadNotRecorded };
}

/** Longer texts in a subject are truncated. Characters. */
const longestText = 1000;

/** Check the subject of a trace from outside. Unknown properties are kept, because later versions may add some. */
export function checkedSubject(json: unknown, report: Report): TraceSubject {
  if (typeof json !== 'object' || json === null) {
    report('the description of the trace is not a JSON object');
    return {};
  }
  const fields = json as Readonly<Record<string, unknown>>;
  const checked = <Value>(name: string, form: string, check: (value: unknown) => Value | undefined) => {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (value === undefined) return undefined;
    const known = check(value);
    if (known === undefined) report(`${name} of the trace: expected ${form}`);
    return known;
  };
  const text = (name: string) =>
    checked(name, 'a string', (value) => (typeof value === 'string' ? value.slice(0, longestText) : undefined));
  const whole = (name: string, most: number) =>
    checked(name, `a whole number from 0 to ${most}`, (value) =>
      typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most ? value : undefined,
    );
  const subject = {
    world: text('world'),
    queue: text('queue'),
    threads: whole('threads', maxThreads),
    clock: checked('clock', 'machine, virtual or linux', (value) =>
      value === 'machine' || value === 'virtual' || value === 'linux' ? value : undefined,
    ),
    startedAt: checked('startedAt', 'a time in ISO 8601 format', (value) =>
      typeof value === 'string' && value.length <= 40 && !Number.isNaN(Date.parse(value)) ? value : undefined,
    ),
    title: text('title'),
    originMs: checked('originMs', 'a time in milliseconds', (value) =>
      typeof value === 'number' && Math.abs(value) <= largestTimeMs ? value : undefined,
    ),
    verdict: checked('verdict', 'an outcome and its explanation', checkedVerdict),
    cutAtBytes: whole('cutAtBytes', Number.MAX_SAFE_INTEGER),
  };
  return Object.fromEntries(Object.entries(subject).filter(([, value]) => value !== undefined)) as TraceSubject;
}
