/** Size of `struct optee_header`, version 1 (core/include... scripts/gen_tee_bin.py of OP-TEE/optee_os). */
const headerSize = 28;
const magic = 'OPTE';

/** OPTEE and the size of TZDRAM: firmware/layout.h, CFG_TZDRAM_START and _SIZE of the platform. */
export const opteeAddress = 0x0e10_0000;
const maxImageSize = 0x00f0_0000;

/**
 * The bytes to be put at `opteeAddress`, of a file as OP-TEE's build makes them: tee-pager_v2.bin or tee-raw.bin as it
 * is, tee.bin without its header.
 * @throws RangeError saying what is wrong with it.
 */
export function opteeImage(file: Uint8Array): Uint8Array {
  const image = hasHeader(file) ? withoutHeader(file) : file;
  if (image.length === 0) throw new RangeError('the OP-TEE image is empty');
  if (image.length > maxImageSize)
    throw new RangeError(`the OP-TEE image has ${image.length} bytes, secure RAM holds ${maxImageSize}`);
  return image;
}

function hasHeader(file: Uint8Array): boolean {
  return file.length >= headerSize && new TextDecoder('latin1').decode(file.subarray(0, 4)) === magic;
}

function withoutHeader(file: Uint8Array): Uint8Array {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const version = view.getUint8(4);
  if (version !== 1)
    throw new RangeError(`the OP-TEE image has a header of version ${version}: give tee-pager_v2.bin, which has none`);
  const loadAddress = view.getUint32(16, true);
  if (loadAddress !== opteeAddress)
    throw new RangeError(
      `the OP-TEE image is for address 0x${loadAddress.toString(16)}, the virt machine has secure RAM for it at ` +
        `0x${opteeAddress.toString(16)} (build it with PLATFORM=vexpress-qemu_armv8a)`,
    );
  const pagedSize = view.getUint32(24, true);
  if (pagedSize !== 0)
    throw new RangeError('the OP-TEE image has a pageable part (CFG_WITH_PAGER), which cannot be loaded');
  return file.subarray(headerSize);
}
