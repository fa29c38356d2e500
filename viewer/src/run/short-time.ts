/** `12.3 µs`, `4.56 ms`, `7.89 s`. */
export function duration(ms: number): string {
  if (ms === 0) return '0';
  if (ms >= 1000) return `${trim(ms / 1000)} s`;
  if (ms >= 1) return `${trim(ms)} ms`;
  if (ms >= 0.001) return `${trim(ms * 1000)} µs`;
  return `${trim(ms * 1e6)} ns`;
}

function trim(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
