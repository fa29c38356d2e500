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
 * What becomes of an exchange with the card: it cannot be reached; the request fails with an `RpmbResult` and is not
 * done; or the answer is changed on its way.
 */
export type RpmbFault = undefined | 'unreachable' | { readonly result: number } | ((answer: Uint8Array) => Uint8Array);

/** What a card keeps without power. A key and a write are kept as a whole or not at all. */
export interface EmmcMemory {
  /** The authentication key, 32 octets; undefined until it is programmed. */
  readonly key: Uint8Array | undefined;
  /** Writes that were done, 0..0xffffffff. */
  readonly writeCounter: number;
  programKey(key: Uint8Array): void;
  /** 256 octets; undefined for a block that was never written. */
  read(block: number): Uint8Array | undefined;
  /** Blocks that follow each other, and the counter one higher. */
  write(first: number, blocks: readonly Uint8Array[]): void;
}

export interface EmulatedEmmcOptions {
  readonly hmac: Hmac;
  /** Where key, counter and blocks are kept: memory that goes with this object when left out. */
  readonly memory?: EmmcMemory;
  readonly cid?: Uint8Array;
  /** The authentication key, 32 octets, of a card into which it was programmed already: of one that has none yet. */
  readonly key?: Uint8Array;
  /** Units of 128 KiB: 1 when left out. */
  readonly sizeMultiplier?: number;
  /** 1 when left out: two blocks. */
  readonly reliableWriteSectors?: number;
  /** The card has its clock and its supply: always when left out. Without them it does not answer. */
  readonly powered?: () => boolean;
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

/** An eMMC card's RPMB partition: a key that is programmed once, a counter that only rises, and blocks behind MACs. */
export class EmulatedEmmc implements RpmbDevice {
  readonly cid: Uint8Array;
  readonly sizeMultiplier: number;
  readonly reliableWriteSectors: number;
  private readonly memory: EmmcMemory;

  /**
   * @throws TypeError naming an option that is none, RangeError naming a size that no card has: its identification is
   *   16 octets, its key 32, its multipliers 1 to 128 and 1 to 255.
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

  /** Writes that were done. */
  get writeCounter(): number {
    return this.memory.writeCounter;
  }

  private get key(): Uint8Array | undefined {
    return this.memory.key;
  }

  /** The key is programmed. */
  get hasKey(): boolean {
    return this.key !== undefined;
  }

  /** Blocks of the partition. */
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

  /** In the order of the standard: key, MAC, counter, address. */
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

  /** The counter cannot rise any more: nothing can be written, for ever, and every answer says so. */
  private get expired(): boolean {
    return this.writeCounter === maxWriteCounter;
  }

  /** The last frame carries the MAC of all. */
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

/** RPMB_SIZE_MULT and REL_WR_SEC_C of JESD84-B51 at most. */
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
