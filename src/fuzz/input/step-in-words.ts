import type { Step } from './grammar.js';

/** A step as text: its kind and its fields. For targets without a better description. */
export function stepInWords({ kind, ...fields }: Step): string {
  const said = Object.entries(fields).map(
    ([name, field]) => `${name} ${typeof field === 'object' ? JSON.stringify(field) : String(field)}`,
  );
  return said.length === 0 ? kind : `${kind}: ${said.join(', ')}`;
}
