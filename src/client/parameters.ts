import type { OptionNames } from '../known-options.js';
import { TeeOrigin, TeeResult } from '../protocol/tee-result.js';
import { show } from '../show.js';
import { maxSharedMemorySize } from '../tee/tee-device.js';
import type { ParamDirection } from '../tee/tee-param.js';
import { badParameters, checkOptions, TeecError } from '../tee/teec-error.js';
import { SharedMemory } from './shared-memory.js';

/** TEEC_VALUE_*: two integers, 0..2^32-1 each. */
export interface ValueParameter<Direction extends ParamDirection = ParamDirection> {
  readonly kind: 'value';
  readonly direction: Direction;
  readonly a: number;
  readonly b: number;
}

/** TEEC_MEMREF_TEMP_*: a buffer shared for the duration of one call; null requests the size of an output. */
export interface TemporaryMemref<Direction extends ParamDirection = ParamDirection> {
  readonly kind: 'temporary-memref';
  readonly direction: Direction;
  readonly buffer: Uint8Array | null;
}

/** TEEC_MEMREF_WHOLE and TEEC_MEMREF_PARTIAL_*: a part of shared memory. */
export interface SharedMemref<Direction extends ParamDirection = ParamDirection> {
  readonly kind: 'shared-memref';
  readonly direction: Direction;
  readonly memory: SharedMemory;
  readonly offset: number;
  readonly size: number;
}

/** TEEC_NONE */
export interface NoneParameter {
  readonly kind: 'none';
}

/** A parameter of a call: TEEC_Parameter with its type. */
export type Parameter = NoneParameter | ValueParameter | TemporaryMemref | SharedMemref;

/** Zero to four parameters. */
export type Parameters =
  | readonly []
  | readonly [Parameter]
  | readonly [Parameter, Parameter]
  | readonly [Parameter, Parameter, Parameter]
  | readonly [Parameter, Parameter, Parameter, Parameter];

/** The result of a value parameter: two integers, 0..2^32-1 each. */
export interface Value {
  readonly a: number;
  readonly b: number;
}

/** The result of a parameter: undefined for an input, the value or the bytes for an output. */
export type ParameterOutput<P> =
  P extends ValueParameter<infer D>
    ? D extends 'input'
      ? undefined
      : Value
    : P extends TemporaryMemref<infer D>
      ? D extends 'input'
        ? undefined
        : Uint8Array
      : P extends SharedMemref<infer D>
        ? D extends 'input'
          ? undefined
          : Uint8Array
        : undefined;

/** The results of all parameters of a call, by index. */
export type ParameterOutputs<P extends Parameters> = { readonly [Index in keyof P]: ParameterOutput<P[Index]> };

/** TEEC_NONE */
export const none: NoneParameter = { kind: 'none' };

/** TEEC_VALUE_INPUT, _OUTPUT, _INOUT. Integers from 0 to 2^32-1. */
export const value = {
  input: (a: number, b = 0): ValueParameter<'input'> => ({ kind: 'value', direction: 'input', a, b }),
  output: (): ValueParameter<'output'> => ({ kind: 'value', direction: 'output', a: 0, b: 0 }),
  inout: (a: number, b = 0): ValueParameter<'inout'> => ({ kind: 'value', direction: 'inout', a, b }),
} as const;

/**
 * TEEC_MEMREF_TEMP_INPUT, _OUTPUT, _INOUT: a buffer of the caller. An output can be given as a size; then the buffer is
 * allocated here, and the result is the part that the TA wrote.
 */
export const temporary = {
  input: (buffer: Uint8Array | null): TemporaryMemref<'input'> => ({
    kind: 'temporary-memref',
    direction: 'input',
    buffer,
  }),
  output: (buffer: Uint8Array | number | null): TemporaryMemref<'output'> => ({
    kind: 'temporary-memref',
    direction: 'output',
    buffer: typeof buffer === 'number' ? outputOf(buffer) : buffer,
  }),
  inout: (buffer: Uint8Array | null): TemporaryMemref<'inout'> => ({
    kind: 'temporary-memref',
    direction: 'inout',
    buffer,
  }),
} as const;

/** @throws TeecError BAD_PARAMETERS if it is not a size, OUT_OF_MEMORY if it cannot be allocated. */
function outputOf(size: number): Uint8Array {
  const doing = `an output of ${show(size)} bytes`;
  if (size <= maxSharedMemorySize || Number.isNaN(size)) {
    if (!(Number.isInteger(size) && size >= 0)) throw badParameters(doing);
    try {
      return new Uint8Array(size);
    } catch {
      // The process has too little memory.
    }
  }
  throw new TeecError(TeeResult.ERROR_OUT_OF_MEMORY, TeeOrigin.API, doing);
}

/** A part of shared memory, in bytes. Default size: up to the end. */
export interface Part {
  readonly offset?: number;
  readonly size?: number;
}

const partNames: OptionNames<Part> = { offset: true, size: true };
const whole: Part = {};

function shared<Direction extends ParamDirection>(direction: Direction) {
  return (memory: SharedMemory, part = whole): SharedMemref<Direction> => {
    if (!(memory instanceof SharedMemory))
      throw badParameters(`memref.${direction} needs shared memory from allocateSharedMemory or registerSharedMemory`);
    if (part !== whole) checkOptions(`memref.${direction}`, part, partNames);
    for (const [name, given] of Object.entries(part))
      if (given !== undefined && typeof given !== 'number')
        throw badParameters(`memref.${direction}: ${name} is ${show(given)}; allowed: integers from 0`);
    const offset = part.offset ?? 0;
    return { kind: 'shared-memref', direction, memory, offset, size: part.size ?? memory.size - offset };
  };
}

/** TEEC_MEMREF_WHOLE (with a direction) and TEEC_MEMREF_PARTIAL_INPUT, _OUTPUT, _INOUT. */
export const memref = { input: shared('input'), output: shared('output'), inout: shared('inout') } as const;
