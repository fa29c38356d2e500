import type { Axis } from '../run/run.js';

/** What of the traces is on the screen. */
export interface Moment {
  readonly axis: Axis;
  readonly from: number;
  readonly to: number;
  readonly cursor: number;
  /** Index of the run with the chosen call, and the call's number; -1 and 0: none. */
  readonly run: number;
  readonly call: number;
}

/** A moment as the part of an address behind the #. */
export function momentOf({ axis, from, to, cursor, run, call }: Moment): string {
  const short = (value: number) => String(Number(value.toPrecision(12)));
  const fields = new URLSearchParams({ axis, from: short(from), to: short(to), at: short(cursor) });
  if (run >= 0) fields.set('call', `${run}.${call}`);
  return `#${fields}`;
}

/** A moment of an address; nothing where it has none. */
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
