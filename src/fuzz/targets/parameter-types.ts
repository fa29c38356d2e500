import type { FuzzValue } from '../input/grammar.js';

/** TEE_PARAM_TYPE_* of the TEE Internal Core API. */
const kinds = [
  undefined,
  { kind: 'value', direction: 'input' },
  { kind: 'value', direction: 'output' },
  { kind: 'value', direction: 'inout' },
  undefined,
  { kind: 'memref', direction: 'input' },
  { kind: 'memref', direction: 'output' },
  { kind: 'memref', direction: 'inout' },
] as const;

/** Size of the memory references, in octets. */
const octets = 32;

/**
 * The parameters whose types are this number, as TEE_PARAM_TYPES combines them: a nibble for each. Undefined if the
 * number is none, or if a parameter follows a missing one, which is unusual.
 */
export function parametersOfTypes(types: number): readonly FuzzValue[] | undefined {
  if (types <= 0 || types > 0x7777) return undefined;
  const parameters: FuzzValue[] = [];
  for (let left = types; left > 0; left = Math.floor(left / 16)) {
    const kind = kinds[left % 16];
    if (kind === undefined) return undefined;
    parameters.push(kind.kind === 'value' ? { ...kind, a: 1, b: 1 } : { ...kind, octets: '00'.repeat(octets) });
  }
  return parameters;
}
