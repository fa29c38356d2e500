import type { Step } from './grammar.js';

/** A step as its kind and its fields: for targets that have no better words. */
export function stepInWords({ kind, ...fields }: Step): string {
  const said = Object.entries(fields).map(
    ([name, field]) => `${name} ${typeof field === 'object' ? JSON.stringify(field) : String(field)}`,
  );
  return said.length === 0 ? kind : `${kind}: ${said.join(', ')}`;
}
