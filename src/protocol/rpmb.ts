/**
 * Replay Protected Memory Block: frames of 512 octets, big endian. Source: JEDEC eMMC (JESD84-B51), section 6.6.22; the
 * requests of OP-TEE to the supplicant: core/tee/tee_rpmb_fs.c.
 */

export const rpmbFrameSize = 512;
export const rpmbBlockSize = 256;
export const rpmbMacSize = 32;
export const rpmbNonceSize = 16;
export const rpmbCidSize = 16;
export const rpmbKeySize = 32;
/**
 * OP-TEE's key with CFG_RPMB_TESTKEY (test_key of core/tee/tee_rpmb_fs.c). Every build with this option has the same
 * key.
 */
export const rpmbTestKey: Readonly<Uint8Array> = Uint8Array.from(
  'd3eb3ec36e334c9f988ce2c0b85954610d2bcf8664844df2ab56e6c61bb701e4'.match(/../g) ?? [],
  (octet) => Number.parseInt(octet, 16),
);
/** The unit of RPMB_SIZE_MULT (EXT_CSD 168), in bytes. */
export const rpmbSizeUnit = 128 * 1024;

/** Request types. A response has the type of its request with the two octets swapped. */
export const RpmbRequest = { programKey: 1, readCounter: 2, write: 3, read: 4, readResult: 5 } as const;

export const RpmbResult = {
  ok: 0,
  generalFailure: 1,
  authenticationFailure: 2,
  counterFailure: 3,
  addressFailure: 4,
  writeFailure: 5,
  readFailure: 6,
  keyNotProgrammed: 7,
  /** Flag in addition to a result: the write counter has reached its maximum. */
  counterExpired: 0x80,
} as const;

/** OPTEE_RPC_RPMB_EMMC: the kind of a device that was found. */
export const rpmbKindEmmc = 0;

/** Header of an OPTEE_RPC_CMD_RPMB request: command, device, block count; 16 bits each, little endian. */
export const rpmbRequestHeaderSize = 6;
export const RpmbSupplicantCommand = { data: 0, getDeviceInfo: 1 } as const;
/** The answer to getDeviceInfo: CID, size multiplier, reliable write sectors, result. */
export const rpmbDeviceInfoSize = rpmbCidSize + 3;

const macOffset = 196;
const dataOffset = 228;
const nonceOffset = 484;

/** The part of a frame that the MAC covers: from the data to the end. */
export function macProtected(frame: Uint8Array): Uint8Array {
  return frame.subarray(dataOffset, rpmbFrameSize);
}

/** A frame, as a view on its bytes. */
export class RpmbFrame {
  private readonly view: DataView;

  constructor(readonly bytes: Uint8Array = new Uint8Array(rpmbFrameSize)) {
    if (bytes.length !== rpmbFrameSize) throw new RangeError(`a frame of ${bytes.length} bytes`);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, rpmbFrameSize);
  }

  /** The key, or the MAC. */
  get mac(): Uint8Array {
    return this.bytes.subarray(macOffset, macOffset + rpmbMacSize);
  }
  get data(): Uint8Array {
    return this.bytes.subarray(dataOffset, dataOffset + rpmbBlockSize);
  }
  get nonce(): Uint8Array {
    return this.bytes.subarray(nonceOffset, nonceOffset + rpmbNonceSize);
  }
  get counter(): number {
    return this.view.getUint32(500);
  }
  set counter(value: number) {
    this.view.setUint32(500, value);
  }
  /** In units of 256 octets. */
  get address(): number {
    return this.view.getUint16(504);
  }
  set address(value: number) {
    this.view.setUint16(504, value);
  }
  get blockCount(): number {
    return this.view.getUint16(506);
  }
  set blockCount(value: number) {
    this.view.setUint16(506, value);
  }
  get result(): number {
    return this.view.getUint16(508);
  }
  set result(value: number) {
    this.view.setUint16(508, value);
  }
  get type(): number {
    return this.view.getUint16(510);
  }
  set type(value: number) {
    this.view.setUint16(510, value);
  }
}

/** The frames that a buffer consists of, as views. */
export function rpmbFrames(bytes: Uint8Array): RpmbFrame[] {
  return Array.from(
    { length: Math.floor(bytes.length / rpmbFrameSize) },
    (_, index) => new RpmbFrame(bytes.subarray(index * rpmbFrameSize, (index + 1) * rpmbFrameSize)),
  );
}

/** The response type of a request type. */
export function rpmbResponseType(request: number): number {
  return request << 8;
}
