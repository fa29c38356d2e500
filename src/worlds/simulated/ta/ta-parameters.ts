import { invalidGlobalId } from '../../../protocol/optee-ffa.js';
import type { MsgArg } from '../../../protocol/optee-msg.js';
import { attrMeta, attrNoncontig, attrTypeMask, OpteeMsgAttr } from '../../../protocol/optee-msg.js';
import { TeeResult } from '../../../protocol/tee-result.js';
import type { Core } from '../core/core.js';
import { Mobj } from '../memory/mobj.js';
import { mobjFromNoncontig } from '../memory/msg-param.js';
import type { Direction } from '../rpc/thread-rpc.js';
import { TaPanic } from './tee-error.js';

/** A pair of 32-bit values. */
export class ValueParameter {
  readonly type = 'value';

  constructor(
    readonly direction: Direction,
    /** Unsigned, 32 bits; wider values in the message are truncated, as in OP-TEE. Input and output. */
    public a: number,
    public b: number,
  ) {}
}

/** A value parameter for a call to another application. */
export const taValue = (direction: Direction, a = 0, b = 0) => new ValueParameter(direction, a, b);

/**
 * A reference to memory of the normal world, contiguous or not.
 *
 * The normal world can write the memory at any moment. `read` returns a copy; use it if the data is needed twice.
 */
export class MemrefParameter {
  readonly type = 'memref';
  /** In bytes. For an output or inout memref the application sets it: the bytes written, or the bytes needed. */
  size: number;
  /** Size of the memory in bytes; it does not change with `size`. */
  readonly capacity: number;
  private writable = true;

  constructor(
    readonly direction: Direction,
    /** Undefined: a null memref. */
    readonly mobj: Mobj | undefined,
    private readonly offset: number,
    size: number,
  ) {
    this.size = size;
    this.capacity = size;
  }

  /** Map the parameter as for a user TA: input memory is read-only. */
  mapForUser(): void {
    this.writable = this.direction !== 'input';
  }

  get isNull(): boolean {
    return this.mobj === undefined;
  }

  /**
   * A copy of the memory.
   * @throws TaPanic for a range outside the memref, like an access outside its mapping.
   */
  read(offset = 0, length = this.capacity - offset): Uint8Array {
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const window of this.windows(offset, length)) {
      bytes.set(window, at);
      at += window.length;
    }
    return bytes;
  }

  /**
   * Write to the memory.
   * @throws TaPanic for a range outside the memref, and in a user TA for an input.
   */
  write(bytes: Uint8Array, offset = 0): void {
    if (!this.writable) throw new TaPanic(TeeResult.ERROR_ACCESS_DENIED, 'a write to an input memref');
    let at = 0;
    for (const window of this.windows(offset, bytes.length)) {
      window.set(bytes.subarray(at, at + window.length));
      at += window.length;
    }
  }

  /** Views of the contiguous pieces of the memory. */
  windows(offset = 0, length = this.capacity - offset): readonly Uint8Array[] {
    const inside = offset >= 0 && length >= 0 && offset + length <= this.capacity;
    if (inside && length === 0) return [];
    const windows = inside ? this.mobj?.windows(this.offset + offset, length) : undefined;
    if (windows === undefined)
      throw new TaPanic(
        TeeResult.ERROR_ACCESS_DENIED,
        `an access to ${length} bytes at ${offset} of a memref of ${this.capacity}`,
      );
    return windows;
  }
}

/** A parameter of an entry point; undefined for TEE_PARAM_TYPE_NONE. */
export type TaParameter = ValueParameter | MemrefParameter | undefined;

/** TEE_NUM_PARAMS. */
export const taParameterCount = 4;

const directions: readonly Direction[] = ['input', 'output', 'inout'];

/**
 * copy_in_params(): read the client's parameters, each word once. The referenced memory is kept until `heldMemory` is
 * released.
 * @param first index of the client's first parameter, after the meta parameters.
 * @param into receives the parameters, up to the first invalid one.
 * @returns a result code.
 */
export function copyInParameters(
  core: Core,
  message: MsgArg,
  first: number,
  count: number,
  into: TaParameter[],
): number {
  if (count > taParameterCount) return TeeResult.ERROR_BAD_PARAMETERS;
  for (let index = 0; index < count; index++) {
    const attr = message.attr(first + index);
    if (Number.isNaN(attr) || (attr & attrMeta) !== 0) return TeeResult.ERROR_BAD_PARAMETERS;
    const type = attr & attrTypeMask;
    if (type === OpteeMsgAttr.none) {
      into.push(undefined);
      continue;
    }
    const direction = directions[(type & 3) - 1];
    if (direction === undefined) return TeeResult.ERROR_BAD_PARAMETERS;
    switch (type - (type & 3)) {
      case 0:
        into.push(new ValueParameter(direction, message.a32(first + index), message.b32(first + index)));
        break;
      case OpteeMsgAttr.rmemInput - 1:
      case OpteeMsgAttr.tmemInput - 1: {
        const a = message.a(first + index);
        const b = message.b(first + index);
        const cookie = message.c(first + index);
        const temporary = type >= OpteeMsgAttr.tmemInput;
        // Over FF-A, the upper 16 bits hold the offset of the buffer in its first page; all memory begins at a page
        // boundary.
        if (core.configuration.ffa && a >= 2 ** 48) return TeeResult.ERROR_BAD_PARAMETERS;
        const found = temporary
          ? temporaryMemory(core, attr, a, b, cookie)
          : core.configuration.dynamicShm
            ? registeredMemory(core, cookie)
            : TeeResult.ERROR_BAD_PARAMETERS;
        if (typeof found === 'number') return found;
        const offset = temporary ? 0 : a;
        into.push(new MemrefParameter(direction, found, offset, found === undefined ? 0 : b));
        if (found !== undefined && !(offset + b <= found.size)) return TeeResult.ERROR_SECURITY;
        break;
      }
      default:
        return TeeResult.ERROR_BAD_PARAMETERS;
    }
  }
  return TeeResult.SUCCESS;
}

/** set_tmem_param(). Undefined for a null memref. */
function temporaryMemory(
  core: Core,
  attr: number,
  address: number,
  size: number,
  cookie: number,
): Mobj | undefined | number {
  if (core.configuration.ffa) return TeeResult.ERROR_BAD_PARAMETERS;
  if (address === 0 && core.configuration.memrefNull) return undefined;
  if ((attr & attrNoncontig) !== 0) {
    const mobj = core.configuration.dynamicShm ? mobjFromNoncontig(core.memory, address, size, cookie) : undefined;
    if (mobj === undefined) return TeeResult.ERROR_BAD_PARAMETERS;
    core.registeredShm.add(mobj);
    return mobj;
  }
  return Mobj.reserved(core.memory, address, size, 0) ?? TeeResult.ERROR_BAD_PARAMETERS;
}

/** set_rmem_param(), set_fmem_param(). Undefined for FF-A's null memref. */
function registeredMemory(core: Core, cookie: number): Mobj | undefined | number {
  if (core.configuration.ffa && cookie === invalidGlobalId) return undefined;
  const mobj = core.findShm(cookie);
  if (mobj === undefined) return TeeResult.ERROR_BAD_PARAMETERS;
  mobj.references++;
  return mobj;
}

/** copy_out_param(): write the values and sizes that the application set into the message. */
export function copyOutParameters(message: MsgArg, first: number, parameters: readonly TaParameter[]): void {
  for (let index = 0; index < parameters.length; index++) {
    const parameter = parameters[index];
    if (parameter === undefined || parameter.direction === 'input') continue;
    if (parameter.type === 'value') message.setAB(first + index, parameter.a >>> 0, parameter.b >>> 0);
    else message.setB(first + index, parameter.size);
  }
}
