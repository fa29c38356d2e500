const units = [
  { ms: 1000, name: 's' },
  { ms: 1, name: 'ms' },
  { ms: 0.001, name: 'µs' },
  { ms: 0.000001, name: 'ns' },
] as const;

/**
 * A time with enough digits to distinguish it from one that is `step` away: `6.041250 s`.
 * @param step milliseconds, more than 0.
 */
export function preciseTime(ms: number, step: number): string {
  const size = Math.abs(ms);
  if (size < step / 1000) return '0';
  const { ms: unit, name } = units.find((each) => size >= each.ms) ?? units[3];
  const digits = Math.max(0, Math.min(9, Math.ceil(-Math.log10(step / unit) - 1e-9)));
  return `${(ms / unit).toFixed(digits)} ${name}`;
}
