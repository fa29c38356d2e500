import { type TaHead, taElf, taFlagNames, unknownTaFlags } from './ta-elf.js';
import type { AddFault, TaReport } from './ta-report.js';

/** The secure RAM of OP-TEE's port for QEMU, for the core and applications: CFG_TZDRAM_SIZE. */
const secureRam = 15 * 1024 * 1024;

const mebibytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;

/** Describe the ELF of an application, with the checks of OP-TEE's loader. */
export function aboutElf(content: Uint8Array, fault: AddFault): Partial<TaReport> {
  const elf = taElf(content);
  if (elf === undefined) {
    fault('elf', 'TEEC_ERROR_BAD_FORMAT', 'the signed content is not an ELF, or it is truncated');
    return {};
  }
  const { bits, machine, head, heap, writable, needed } = elf;
  if (bits === 32)
    fault(
      '32-bit',
      'TEEC_ERROR_BAD_FORMAT',
      `the application is 32-bit (${machine}): this OP-TEE must support it (CFG_USER_TA_TARGETS with ta_arm32), Debian's does not; or build it with ta_arm64`,
    );
  else if (machine !== 'AArch64')
    fault('elf', 'TEEC_ERROR_BAD_FORMAT', `the application is for ${machine}, not for AArch64`);
  else if (head === undefined && elf.entry !== 0)
    fault('elf', 'TEEC_ERROR_BAD_FORMAT', 'the ELF has no .ta_head: it was not linked by the TA dev kit');
  else checkHeader(content, fault);
  if (head !== undefined) checkHead(head, fault);
  const memory = content.length + writable + (head?.stack ?? 0);
  if (memory > secureRam)
    fault(
      'too-large',
      'TEEC_ERROR_OUT_OF_MEMORY',
      `the application needs ${mebibytes(memory)} of secure RAM, ${mebibytes(head?.stack ?? 0)} of them its stack and ${mebibytes(heap ?? writable)} its heap; OP-TEE has less than ${mebibytes(secureRam)} on this machine: lower TA_STACK_SIZE and TA_DATA_SIZE`,
    );
  return {
    bits,
    stack: head?.stack,
    heap,
    writable,
    needed,
    ...(head === undefined ? {} : { flags: taFlagNames(head.flags), flagBits: head.flags }),
  };
}

/** What ldelf requires of the header of a 64-bit ELF. */
function checkHeader(content: Uint8Array, fault: AddFault): void {
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  const dynamic = 3;
  const programHeaderSize = 56;
  if (view.getUint8(5) !== 1) fault('elf', 'TEEC_ERROR_BAD_FORMAT', 'the ELF is big-endian');
  else if (view.getUint8(6) !== 1 || view.getUint32(20, true) !== 1)
    fault('elf', 'TEEC_ERROR_BAD_FORMAT', 'the ELF is of another version than 1');
  else if (view.getUint16(16, true) !== dynamic)
    fault(
      'elf',
      'TEEC_ERROR_BAD_FORMAT',
      'the ELF is not position-independent (ET_DYN): link it as the TA dev kit does',
    );
  else if (view.getUint16(54, true) !== programHeaderSize)
    fault('elf', 'TEEC_ERROR_BAD_FORMAT', 'the ELF has program headers of another size');
  else if (view.getUint16(56, true) === 0)
    fault('elf', 'TEEC_ERROR_GENERIC', 'the ELF has no program headers: it has nothing to load');
}

function checkHead({ stack, flags }: TaHead, fault: AddFault): void {
  if (stack === 0) fault('elf', 'TEEC_ERROR_OUT_OF_MEMORY', 'the application has no stack: TA_STACK_SIZE is 0');
  const unknown = unknownTaFlags(flags);
  if (unknown !== 0)
    fault('elf', 'TEEC_ERROR_BAD_FORMAT', `the application has unknown flags, 0x${unknown.toString(16)} of TA_FLAGS`);
}
