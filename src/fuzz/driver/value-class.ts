import { isRpcReturn, OpteeSmcReturn, rpcFunction } from '../../protocol/optee-smc.js';
import { TeeResult } from '../../protocol/tee-result.js';

/*
 * Classes of values for coverage. A value that has a meaning is a class of its own; all others, which code cannot tell
 * apart, are one class or one for each magnitude. Otherwise every number that an input invents would be new coverage.
 */

/** The class of all values without a meaning. No code of the protocol has this value. */
const other = 0x6f74_6865;
const returns = new Set<number>(Object.values(OpteeSmcReturn));
const results = new Set<number>(Object.values(TeeResult));
/** RPC functions are few and small. */
const mostFunctions = 16;
const magnitudes = [1, 2, 3, 4, 16, 4096, 4097, 65_536, 2 ** 20, 2 ** 31, 2 ** 32];

/** Of a0, as an SMC returns it. */
export function classOfReturn(a0: number): number {
  if (isRpcReturn(a0)) return rpcFunction(a0) < mostFunctions ? a0 : other + 1;
  return returns.has(a0) ? a0 : other;
}

/** Of a result of the TEE Client API or the TEE Internal API. */
export function classOfResult(result: number): number {
  return results.has(result) ? result : other;
}

/** Of one of a set of codes. */
export function classOfCode(code: number, known: ReadonlySet<number>): number {
  return known.has(code) ? code : other;
}

/** Of a size, a count or an address: its magnitude. */
export function classOfNumber(value: number): number {
  const at = magnitudes.findIndex((end) => value < end);
  return at < 0 ? magnitudes.length : at;
}
