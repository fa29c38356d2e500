import { type OptionNames, requireKnownOptions } from '../known-options.js';
import {
  macProtected,
  RpmbFrame,
  RpmbRequest,
  RpmbResult,
  rpmbBlockSize,
  rpmbCidSize,
  rpmbFrameSize,
  rpmbFrames,
  rpmbKeySize,
  rpmbResponseType,
  rpmbSizeUnit,
} from '../protocol/rpmb.js';
import type { Hmac, RpmbDevice } from './rpmb-device.js';

/**
 * A fault in an exchange with the card: the card does not answer; or the request fails with an `RpmbResult` and has no
 * effect; or the answer is changed in transit.
 */
export type RpmbFault = undefined | 'unreachable' | { readonly result: number } | ((answer: Uint8Array) => Uint8Array);

/** The non-volatile state of a card. Programming the key and each write are atomic. */
export interface EmmcMemory {
  /** The authentication key, 32 octets; undefined until it is programmed. */
  readonly key: Uint8Array | undefined;
  /** The number of completed writes, 0..0xffffffff. */
  readonly writeCounter: number;
  programKey(key: Uint8Array): void;
  /** 256 octets; undefined for a block that was never written. */
  read(block: number): Uint8Array | undefined;
  /** Write consecutive blocks, and increment the counter by one. */
  write(first: number, blocks: readonly Uint8Array[]): void;
}

/** Options of an emulated card. */
export interface EmulatedEmmcOptions {
  /** HMAC-SHA256, for the MACs of the card. */
  readonly hmac: Hmac;
  /** The storage of key, counter and blocks. Default: memory of this object. */
  readonly memory?: EmmcMemory;
  /** Card identification, 16 octets. Default: the ASCII text "emulated eMMC 01". */
  readonly cid?: Uint8Array;
  /** The authentication key, 32 octets, to program into a card that has none. */
  readonly key?: Uint8Array;
  /** RPMB_SIZE_MULT, in units of 128 KiB, 1..128. Default: 1. */
  readonly sizeMultiplier?: number;
  /** REL_WR_SEC_C, in sectors of 512 octets, 1..255. Default: 1, which is two blocks. */
  readonly reliableWriteSectors?: number;
  /** Whether the card has its clock and its supply. Without them it does not answer. Default: always. */
  readonly powered?: () => boolean;
  /** Called for each request, with its type and its address in units of 256 octets. Default: no faults. */
  readonly fault?: (request: { readonly type: number; readonly address: number }) => RpmbFault;
}

const eMmcNames: OptionNames<EmulatedEmmcOptions> = {
  hmac: true,
  memory: true,
  cid: true,
  key: true,
  sizeMultiplier: true,
  reliableWriteSectors: true,
  powered: true,
  fault: true,
};

/**
 * The RPMB partition of an eMMC card: a key that is programmed once, a monotonic counter, and blocks protected by MACs.
 */
export class EmulatedEmmc implements RpmbDevice {
  readonly cid: Uint8Array;
  readonly sizeMultiplier: number;
  readonly reliableWriteSectors: number;
  private readonly memory: EmmcMemory;

  /**
   * @throws TypeError naming an unknown option; RangeError naming a value outside its range: the CID has 16 octets, the
   *   key 32, the multipliers are 1..128 and 1..255.
   */
  constructor(private readonly options: EmulatedEmmcOptions) {
    requireKnownOptions('emulated eMMC', options, eMmcNames);
    this.cid = options.cid ?? new TextEncoder().encode('emulated eMMC 01').slice(0, rpmbCidSize);
    this.sizeMultiplier = options.sizeMultiplier ?? 1;
    this.reliableWriteSectors = options.reliableWriteSectors ?? 1;
    if (typeof options.hmac !== 'function')
      throw new TypeError('emulated eMMC: hmac must be a function (for example hmacSha256)');
    if (this.cid.length !== rpmbCidSize)
      throw new RangeError(`emulated eMMC: a cid of ${this.cid.length} octets, expected ${rpmbCidSize}`);
    if (options.key !== undefined && options.key.length !== rpmbKeySize)
      throw new RangeError(`emulated eMMC: a key of ${options.key.length} octets, expected ${rpmbKeySize}`);
    this.memory = options.memory ?? new VolatileMemory();
    requireWithin('sizeMultiplier', this.sizeMultiplier, maxSizeMultiplier);
    requireWithin('reliableWriteSectors', this.reliableWriteSectors, maxReliableWriteSectors);
    if (options.key !== undefined && this.key === undefined) this.memory.programKey(options.key.slice());
  }

  /** The number of completed writes. */
  get writeCounter(): number {
    return this.memory.writeCounter;
  }

  private get key(): Uint8Array | undefined {
    return this.memory.key;
  }

  /** Whether the key is programmed. */
  get hasKey(): boolean {
    return this.key !== undefined;
  }

  /** The number of blocks in the partition. */
  get blockCount(): number {
    return (this.sizeMultiplier * rpmbSizeUnit) / rpmbBlockSize;
  }

  exchange(frames: Uint8Array, answerSize: number): Uint8Array {
    const { powered, fault } = this.options;
    if (powered?.() === false) throw new Error('the eMMC does not answer: its clock or its supply is off');
    const copy = frames.slice();
    const [first, ...more] = rpmbFrames(copy);
    if (first === undefined || copy.length % rpmbFrameSize !== 0 || answerSize % rpmbFrameSize !== 0)
      throw new Error(`the eMMC needs whole frames, not ${copy.length} and ${answerSize} bytes`);
    const what = fault?.({ type: first.type, address: first.address });
    if (what === 'unreachable') throw new Error('the eMMC does not answer');
    const answer =
      typeof what === 'object'
        ? this.answerWith(first.type, what.result, answerSize / rpmbFrameSize)
        : this.serve(first, [first, ...more], answerSize / rpmbFrameSize);
    return typeof what === 'function' ? what(answer) : answer;
  }

  private serve(request: RpmbFrame, frames: readonly RpmbFrame[], answerCount: number): Uint8Array {
    switch (request.type) {
      case RpmbRequest.programKey:
        if (this.key !== undefined) return this.answerWith(request.type, RpmbResult.generalFailure, 1);
        this.memory.programKey(request.mac.slice());
        return this.answerWith(request.type, RpmbResult.ok, 1);
      case RpmbRequest.readCounter:
        return this.readCounter(request);
      case RpmbRequest.write:
        return this.write(request, frames);
      case RpmbRequest.read:
        return this.read(request, answerCount);
      default:
        return this.answerWith(request.type, RpmbResult.generalFailure, 1);
    }
  }

  private readCounter(request: RpmbFrame): Uint8Array {
    if (this.key === undefined) return this.answerWith(request.type, RpmbResult.keyNotProgrammed, 1);
    const answer = new RpmbFrame();
    answer.type = rpmbResponseType(request.type);
    answer.nonce.set(request.nonce);
    answer.counter = this.writeCounter;
    return this.signed([answer]);
  }

  private write(request: RpmbFrame, frames: readonly RpmbFrame[]): Uint8Array {
    const result = this.writeResult(request, frames);
    if (result === RpmbResult.ok) {
      this.memory.write(
        request.address,
        frames.map(({ data }) => data.slice()),
      );
    }
    if (this.key === undefined) return this.answerWith(request.type, result, 1);
    const answer = new RpmbFrame();
    answer.type = rpmbResponseType(request.type);
    answer.result = result;
    answer.address = request.address;
    answer.counter = this.writeCounter;
    return this.signed([answer]);
  }

  /** Checks in the order of the standard: key, MAC, counter, address. */
  private writeResult({ address, counter, blockCount }: RpmbFrame, frames: readonly RpmbFrame[]): number {
    if (this.key === undefined) return RpmbResult.keyNotProgrammed;
    if (!equal(frames.at(-1)?.mac, this.mac(frames))) return RpmbResult.authenticationFailure;
    if (this.expired) return RpmbResult.writeFailure;
    if (counter !== this.writeCounter) return RpmbResult.counterFailure;
    if (address + frames.length > this.blockCount) return RpmbResult.addressFailure;
    if (blockCount !== frames.length || frames.length > 2 * this.reliableWriteSectors) return RpmbResult.generalFailure;
    return RpmbResult.ok;
  }

  private read(request: RpmbFrame, count: number): Uint8Array {
    if (this.key === undefined) return this.answerWith(request.type, RpmbResult.keyNotProgrammed, count);
    const inside = request.address + count <= this.blockCount;
    const answers = Array.from({ length: count }, (_, index) => {
      const answer = new RpmbFrame();
      answer.type = rpmbResponseType(request.type);
      answer.result = inside ? RpmbResult.ok : RpmbResult.addressFailure;
      answer.address = request.address;
      answer.blockCount = count;
      answer.nonce.set(request.nonce);
      if (inside) answer.data.set(this.memory.read(request.address + index) ?? []);
      return answer;
    });
    return this.signed(answers);
  }

  private answerWith(type: number, result: number, count: number): Uint8Array {
    const answers = Array.from({ length: Math.max(1, count) }, () => {
      const answer = new RpmbFrame();
      answer.type = rpmbResponseType(type);
      answer.result = result;
      return answer;
    });
    return this.key === undefined ? joined(answers) : this.signed(answers);
  }

  /**
   * Whether the counter has reached its maximum. The partition then refuses all writes, and every answer has the flag.
   */
  private get expired(): boolean {
    return this.writeCounter === maxWriteCounter;
  }

  /** Add the MAC, which covers all frames, to the last one. */
  private signed(frames: readonly RpmbFrame[]): Uint8Array {
    if (this.expired) for (const frame of frames) frame.result |= RpmbResult.counterExpired;
    frames.at(-1)?.mac.set(this.mac(frames));
    return joined(frames);
  }

  private mac(frames: readonly RpmbFrame[]): Uint8Array {
    return this.options.hmac(
      this.key ?? new Uint8Array(),
      frames.map(({ bytes }) => macProtected(bytes)),
    );
  }
}

/** Maximum values of RPMB_SIZE_MULT and REL_WR_SEC_C in JESD84-B51. */
export const maxSizeMultiplier = 128;
export const maxReliableWriteSectors = 255;
const maxWriteCounter = 0xffff_ffff;

class VolatileMemory implements EmmcMemory {
  key: Uint8Array | undefined;
  writeCounter = 0;
  private readonly blocks = new Map<number, Uint8Array>();

  programKey(key: Uint8Array): void {
    this.key = key;
  }

  read(block: number): Uint8Array | undefined {
    return this.blocks.get(block);
  }

  write(first: number, blocks: readonly Uint8Array[]): void {
    blocks.forEach((block, index) => {
      this.blocks.set(first + index, block);
    });
    this.writeCounter++;
  }
}

function requireWithin(name: string, value: number, max: number): void {
  if (!(Number.isInteger(value) && value >= 1 && value <= max))
    throw new RangeError(`emulated eMMC: ${name} is ${value}; allowed: integers from 1 to ${max}`);
}

function joined(frames: readonly RpmbFrame[]): Uint8Array {
  const bytes = new Uint8Array(frames.length * rpmbFrameSize);
  frames.forEach((frame, index) => {
    bytes.set(frame.bytes, index * rpmbFrameSize);
  });
  return bytes;
}

function equal(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a?.length === b.length && a.every((byte, index) => byte === b[index]);
}
