/** A text for a value of any type; never throws. */
export function show(value: unknown): string {
  try {
    if (value instanceof Error) return value.name === 'Error' ? value.message : `${value.name}: ${value.message}`;
    return typeof value === 'string' ? `"${value}"` : String(value);
  } catch {
    return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
  }
}
