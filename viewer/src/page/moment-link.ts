import type { Axis } from '../run/run.js';

/** The visible part of the traces, as it is stored in a link. */
export interface Moment {
  readonly axis: Axis;
  readonly from: number;
  readonly to: number;
  readonly cursor: number;
  /** Index of the run with the chosen call, and the call's number; -1 and 0 if no call is chosen. */
  readonly run: number;
  readonly call: number;
}

/** Encode a moment as the fragment of a URL. */
export function momentOf({ axis, from, to, cursor, run, call }: Moment): string {
  const short = (value: number) => String(Number(value.toPrecision(12)));
  const fields = new URLSearchParams({ axis, from: short(from), to: short(to), at: short(cursor) });
  if (run >= 0) fields.set('call', `${run}.${call}`);
  return `#${fields}`;
}

/** Decode a moment from the fragment of a URL; undefined if it has none. */
export function readMoment(hash: string): Moment | undefined {
  const fields = new URLSearchParams(hash.replace(/^#/, ''));
  const axis = fields.get('axis');
  const [from, to, cursor] = ['from', 'to', 'at'].map((name) => Number.parseFloat(fields.get(name) ?? ''));
  if ((axis !== 'time' && axis !== 'order') || from === undefined || to === undefined || cursor === undefined)
    return undefined;
  if (![from, to, cursor].every(Number.isFinite) || to <= from) return undefined;
  const [run = Number.NaN, call = Number.NaN] = (fields.get('call') ?? '').split('.').map(Number);
  const chosen = Number.isInteger(run) && Number.isInteger(call);
  return { axis, from, to, cursor, run: chosen ? run : -1, call: chosen ? call : 0 };
}
