/**
 * OP-TEE's message, `struct optee_msg_arg`: a header of 32 bytes and up to 127 parameters of 32 bytes each,
 * little endian, at a physical address. Source of every value: optee_msg.h of OP-TEE/optee_os.
 */

import { pageSize } from './physical-memory.js';

/** OPTEE_MSG_CMD_*: requests of the normal world. */
export const OpteeMsgCmd = {
  openSession: 0,
  invokeCommand: 1,
  closeSession: 2,
  cancel: 3,
  registerShm: 4,
  unregisterShm: 5,
  doBottomHalf: 6,
  stopAsyncNotif: 7,
} as const;

/** OPTEE_MSG_ATTR_TYPE_*: the low byte of a parameter's attribute. */
export const OpteeMsgAttr = {
  none: 0x0,
  valueInput: 0x1,
  valueOutput: 0x2,
  valueInout: 0x3,
  rmemInput: 0x5,
  rmemOutput: 0x6,
  rmemInout: 0x7,
  tmemInput: 0x9,
  tmemOutput: 0xa,
  tmemInout: 0xb,
} as const;

/** OPTEE_MSG_ATTR_TYPE_MASK. */
export const attrTypeMask = 0xff;
/** OPTEE_MSG_ATTR_META: a parameter for OP-TEE itself, before the client's parameters. */
export const attrMeta = 1 << 8;
/** OPTEE_MSG_ATTR_NONCONTIG: the buffer is described by a page list. */
export const attrNoncontig = 1 << 9;

/** OPTEE_MSG_LOGIN_*, and the kernel's login class TEE_IOCTL_LOGIN_REE_KERNEL (uapi linux/tee.h). */
export const LoginClass = {
  public: 0,
  user: 1,
  group: 2,
  application: 4,
  applicationUser: 5,
  applicationGroup: 6,
  reeKernel: 0x8000_0000,
} as const;
export type LoginClass = (typeof LoginClass)[keyof typeof LoginClass];

const headerSize = 32;
const paramSize = 32;

/** OPTEE_MSG_GET_ARG_SIZE: size in bytes of a message with `paramCount` parameters. */
export function msgArgSize(paramCount: number): number {
  return headerSize + paramSize * paramCount;
}

/** OPTEE_MSG_MAX_NUM_PARAMS: 127, so that a message never crosses a page. */
export const maxParamCount = (pageSize - headerSize) / paramSize;

/**
 * A message in shared memory, read and written in place. 64-bit fields are numbers, exact below 2^53. Only a hostile
 * world writes a larger value; it is read as a number above 2^53, so it matches no address, size or cookie.
 */
export class MsgArg {
  private readonly view: DataView;

  /**
   * @param bytes the memory of the message, and nothing after it. Parameter indices are checked against its length, not
   *   against `paramCount`, because the other world can write that field.
   */
  constructor(readonly bytes: Uint8Array) {
    if (bytes.length < headerSize) throw new RangeError(`a message needs ${headerSize} bytes, not ${bytes.length}`);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** The number of parameters that fit into the memory. */
  get paramCapacity(): number {
    return Math.floor((this.bytes.length - headerSize) / paramSize);
  }

  get cmd(): number {
    return this.view.getUint32(0, true);
  }
  set cmd(value: number) {
    this.view.setUint32(0, value, true);
  }

  /** The TA's command id of an INVOKE_COMMAND. */
  get func(): number {
    return this.view.getUint32(4, true);
  }
  set func(value: number) {
    this.view.setUint32(4, value, true);
  }

  get session(): number {
    return this.view.getUint32(8, true);
  }
  set session(value: number) {
    this.view.setUint32(8, value, true);
  }

  get cancelId(): number {
    return this.view.getUint32(12, true);
  }
  set cancelId(value: number) {
    this.view.setUint32(12, value, true);
  }

  get ret(): number {
    return this.view.getUint32(20, true);
  }
  set ret(value: number) {
    this.view.setUint32(20, value, true);
  }

  get retOrigin(): number {
    return this.view.getUint32(24, true);
  }
  set retOrigin(value: number) {
    this.view.setUint32(24, value, true);
  }

  get paramCount(): number {
    return this.view.getUint32(28, true);
  }
  set paramCount(value: number) {
    this.view.setUint32(28, value, true);
  }

  /** Zero the header and `paramCount` parameters, and set the parameter count. */
  reset(paramCount: number): void {
    this.bytes.fill(0, 0, msgArgSize(paramCount));
    this.paramCount = paramCount;
  }

  attr(index: number): number {
    // Bits 32..63 are reserved: a message that sets one of them has an unknown attribute.
    return this.view.getUint32(this.offset(index) + 4, true) === 0
      ? this.view.getUint32(this.offset(index), true)
      : Number.NaN;
  }

  /** value.a, or tmem.buf_ptr, or rmem.offs. */
  a(index: number): number {
    return this.getUint64(this.offset(index) + 8);
  }

  /** value.b, or the size of a memref. */
  b(index: number): number {
    return this.getUint64(this.offset(index) + 16);
  }

  /** The low 32 bits of value.a. OP-TEE passes only these to a trusted application. */
  a32(index: number): number {
    return this.view.getUint32(this.offset(index) + 8, true);
  }

  /** The low 32 bits of value.b. */
  b32(index: number): number {
    return this.view.getUint32(this.offset(index) + 16, true);
  }

  /** The low 32 bits of value.c. */
  c32(index: number): number {
    return this.view.getUint32(this.offset(index) + 24, true);
  }

  /** value.c, or the shared-memory reference (cookie) of a memref. */
  c(index: number): number {
    return this.getUint64(this.offset(index) + 24);
  }

  setParam(index: number, attr: number, a: number, b: number, c: number): void {
    const offset = this.offset(index);
    this.setUint64(offset, attr);
    this.setUint64(offset + 8, a);
    this.setUint64(offset + 16, b);
    this.setUint64(offset + 24, c);
  }

  /** Write value.a, .b and .c (or the three words of a memref). The attribute does not change. */
  setWords(index: number, a: number, b: number, c: number): void {
    const offset = this.offset(index);
    this.setUint64(offset + 8, a);
    this.setUint64(offset + 16, b);
    this.setUint64(offset + 24, c);
  }

  /** Write value.a and .b. The rest does not change. */
  setAB(index: number, a: number, b: number): void {
    const offset = this.offset(index);
    this.setUint64(offset + 8, a);
    this.setUint64(offset + 16, b);
  }

  /** Write the size of a memref, or value.b. */
  setB(index: number, b: number): void {
    this.setUint64(this.offset(index) + 16, b);
  }

  /** The 24 octets of a parameter's union, as a view and not a copy. */
  octets(index: number): Uint8Array {
    const offset = this.offset(index) + 8;
    return this.bytes.subarray(offset, offset + 24);
  }

  private offset(index: number): number {
    const offset = headerSize + index * paramSize;
    if (!(index >= 0 && offset + paramSize <= this.bytes.length))
      throw new RangeError(`parameter ${index} is outside a message of ${this.bytes.length} bytes`);
    return offset;
  }

  private getUint64(offset: number): number {
    const high = this.view.getUint32(offset + 4, true);
    const low = this.view.getUint32(offset, true);
    return high === 0 ? low : high * 0x1_0000_0000 + low;
  }

  private setUint64(offset: number, value: number): void {
    this.view.setUint32(offset, value >>> 0, true);
    this.view.setUint32(offset + 4, value < 0x1_0000_0000 ? 0 : Math.floor(value / 0x1_0000_0000), true);
  }
}
