import { ffaErrorName } from '../../protocol/ffa.js';

/** VECTOR_SPMC_FAILED of firmware/monitor.h */
const spmcFailed = 32;

/** An exception that the firmware cannot handle, as the firmware reports it (firmware/monitor.S). */
export interface FatalException {
  readonly cpu: number;
  /**
   * Number of the vector: 0..15 of EL3; 16..31 of S-EL1 before OP-TEE installed its own vectors; 32: OP-TEE as a
   * partition manager failed to boot, and `syndrome` is its error code.
   */
  readonly vector: number;
  /** ESR of that exception level. */
  readonly syndrome: bigint;
  /** ELR: the address of the instruction. */
  readonly address: bigint;
  /** FAR: the accessed address; meaningful for aborts. */
  readonly faultAddress: bigint;
}

/** EARLY_VECTORS of firmware/layout.h */
const earlyVectors = 16;

/** A text with the syndrome and the place. */
export function describeFatalException(exception: FatalException): string {
  const { cpu, vector, syndrome, address, faultAddress } = exception;
  if (vector === spmcFailed)
    return (
      `OP-TEE, its own FF-A partition manager, did not come up on CPU ${cpu}: ` +
      `${ffaErrorName(Number(BigInt.asUintN(32, syndrome)))} at ${hex(address)}`
    );
  const kind = kinds[vector % 4] ?? '';
  const exceptionClass = Number((syndrome >> 26n) & 0x3fn);
  const className = classes.get(exceptionClass) ?? 'reserved';
  const registers = `at ELR ${hex(address)}, ESR ${hex(syndrome)} (${className}), FAR ${hex(faultAddress)}`;
  if (vector >= earlyVectors)
    return (
      `the loaded image is not an OP-TEE for this machine: ${kind} on CPU ${cpu} in S-EL1 ${registers}, ` +
      `before it had set up any exception vectors`
    );
  const origin = origins[vector >> 2] ?? '';
  return `fatal exception on CPU ${cpu} in the EL3 firmware: ${kind} from ${origin} ${registers}`;
}

// Arm Architecture Reference Manual, D1.3.1: the vector table.
const kinds = ['synchronous exception', 'IRQ', 'FIQ', 'SError'];
const origins = [
  'the same level on SP_EL0',
  'the same level',
  'a lower level in AArch64',
  'a lower level in AArch32',
] as const;

// Exception classes, D17.2.37: ESR_ELx.EC.
const classes = new Map([
  [0x00, 'unknown or undefined instruction'],
  [0x01, 'trapped WFI or WFE'],
  [0x07, 'trapped floating point'],
  [0x0e, 'illegal execution state'],
  [0x15, 'SVC'],
  [0x16, 'HVC'],
  [0x17, 'SMC'],
  [0x18, 'trapped system register access'],
  [0x20, 'instruction abort from a lower level'],
  [0x21, 'instruction abort'],
  [0x22, 'misaligned PC'],
  [0x24, 'data abort from a lower level'],
  [0x25, 'data abort'],
  [0x26, 'misaligned SP'],
  [0x2f, 'SError'],
  [0x3c, 'BRK'],
]);

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
