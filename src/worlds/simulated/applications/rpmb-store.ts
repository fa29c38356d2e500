import type { Random } from '../../../clock/random.js';
import { RpcCommand, RpcShmType } from '../../../protocol/optee-rpc-command.js';
import {
  macProtected,
  RpmbFrame,
  RpmbRequest,
  RpmbResult,
  RpmbSupplicantCommand,
  rpmbBlockSize,
  rpmbCidSize,
  rpmbDeviceInfoSize,
  rpmbFrameSize,
  rpmbFrames,
  rpmbKindEmmc,
  rpmbRequestHeaderSize,
  rpmbResponseType,
  rpmbSizeUnit,
} from '../../../protocol/rpmb.js';
import { TeeResult } from '../../../protocol/tee-result.js';
import { rpcMemref, rpcValue } from '../rpc/thread-rpc.js';
import type { TaCall } from '../ta/ta-call.js';
import { TeeError } from '../ta/tee-error.js';
import type { Mutex } from '../threads/wait-queue.js';

/** HMAC-SHA256: 32 octets. */
type Hmac = (key: Uint8Array, data: readonly Uint8Array[]) => Uint8Array;

/** Options of an RPMB store in the simulated world. */
export interface RpmbStoreOptions {
  /** HMAC-SHA256, for MACs and for deriving the key. */
  readonly hmac: Hmac;
  /** The hardware unique key: the secret from which secure world derives the RPMB keys. */
  readonly secret: Uint8Array;
  /** The source of nonces. */
  readonly random: Random;
  /**
   * Program the key into a card that has none (CFG_RPMB_WRITE_KEY). Default: true. OP-TEE with this option uses only
   * the supplicant; this store programs the key by either route.
   */
  readonly writeKey?: boolean;
}

/** The card in use. */
interface Card {
  /** Its route: frames routed by the kernel, or requests to the supplicant. */
  readonly route: 'kernel' | 'supplicant';
  readonly key: Uint8Array;
  readonly blocks: number;
  counter: number;
}

/** RPMB_MAX_RETRIES: attempts of a write that fails or whose answer is wrong. */
const maxWriteTries = 10;

/**
 * Blocks that the normal world can neither forge nor roll back: core/tee/tee_rpmb_fs.c, the part below its file system.
 * One access at a time, as with OP-TEE's rpmb_mutex. An access that waits for the mutex holds its thread.
 */
export class RpmbStore {
  private card: Card | undefined;
  /** The outcome of a write is unknown, so the card is not used any more. */
  private dead = false;
  private mutex: Mutex | undefined;

  constructor(private readonly options: RpmbStoreOptions) {}

  /**
   * @throws TeeError SECURITY if the answer is not from the card; GENERIC if the card reports a failure; ITEM_NOT_FOUND
   *   if there is no card with our key; COMMUNICATION if a write has finally failed, from then on for every access.
   */
  read(call: TaCall, block: number, count: number): Promise<Uint8Array> {
    return this.exclusively(call, async (card) => {
      checkBlocks(card, block, count);
      const request = new RpmbFrame();
      request.type = RpmbRequest.read;
      request.address = block;
      request.nonce.set(this.newNonce());
      const answers = await this.exchange(call, card, [request], count);
      this.verify(card, answers, request);
      const data = new Uint8Array(count * rpmbBlockSize);
      answers.forEach((answer, index) => {
        data.set(answer.data, index * rpmbBlockSize);
      });
      return data;
    });
  }

  /** @param data whole blocks. Each is a separate write, as in OP-TEE. @throws TeeError like `read`. */
  write(call: TaCall, block: number, data: Uint8Array): Promise<void> {
    return this.exclusively(call, async (card) => {
      const count = data.length / rpmbBlockSize;
      checkBlocks(card, block, count);
      for (let index = 0; index < count; index++)
        await this.writeBlock(
          call,
          card,
          block + index,
          data.subarray(index * rpmbBlockSize, (index + 1) * rpmbBlockSize),
        );
    });
  }

  /**
   * Write a block. A write that fails, or whose answer is wrong, is repeated with the counter of the answer, if there
   * was one. The counter is not read again: if the card did the write and its answer was lost, all repetitions are
   * refused, and the card is no longer used.
   */
  private async writeBlock(call: TaCall, card: Card, block: number, data: Uint8Array): Promise<void> {
    let { counter } = card;
    for (let tries = 1; ; tries++) {
      const frame = new RpmbFrame();
      frame.type = RpmbRequest.write;
      frame.address = block;
      frame.blockCount = 1;
      frame.counter = counter;
      frame.data.set(data);
      frame.mac.set(this.mac(card.key, [frame]));
      try {
        const answers = await this.exchange(call, card, [frame], 1);
        counter = this.verify(card, answers, frame, (told) => {
          counter = told;
        });
        card.counter = counter;
        return;
      } catch (error) {
        if (!(error instanceof TeeError)) throw error;
        if (tries < maxWriteTries) continue;
        this.dead = true;
        throw new TeeError(TeeResult.ERROR_COMMUNICATION, `the RPMB is given up: ${error.message}`);
      }
    }
  }

  /** Run one access at a time. */
  private async exclusively<T>(call: TaCall, access: (card: Card) => Promise<T>): Promise<T> {
    this.mutex ??= call.createMutex();
    return call.locked(this.mutex, async () => {
      if (this.dead) throw new TeeError(TeeResult.ERROR_COMMUNICATION, 'the RPMB was given up');
      this.card ??= await this.findCard(call);
      return access(this.card);
    });
  }

  private async findCard(call: TaCall): Promise<Card> {
    const reset = rpcValue('output');
    const result = await call.rpc(RpcCommand.rpmbProbeReset, [reset]);
    if (result === TeeResult.ERROR_NOT_SUPPORTED) return this.findSupplicantCard(call);
    if (result !== TeeResult.SUCCESS) throw new TeeError(result, 'the devices cannot be enumerated');
    if (reset.a !== RpcShmType.kernel)
      throw new TeeError(TeeResult.ERROR_GENERIC, `memory of type ${reset.a} for frames`);
    const memory = await call.allocateRpcMemory(rpmbFrameSize, RpcShmType.kernel);
    try {
      for (;;) {
        const device = rpcValue('output');
        const cid = rpcMemref('output', memory.mobj, rpmbCidSize);
        const next = await call.rpc(RpcCommand.rpmbProbeNext, [device, cid]);
        // This kind of device may be unknown.
        if (next === TeeResult.ERROR_SHORT_BUFFER) continue;
        if (next !== TeeResult.SUCCESS) throw new TeeError(next, 'there is no RPMB with our key');
        if (device.a !== rpmbKindEmmc)
          throw new TeeError(TeeResult.ERROR_NOT_SUPPORTED, `a device of kind ${device.a}`);
        try {
          return await this.tryCard(call, 'kernel', memory.mobj.read(0, rpmbCidSize), device.b);
        } catch (error) {
          // The card belongs to another secure world.
          if (!(error instanceof TeeError)) throw error;
        }
      }
    } finally {
      await call.freeRpcMemory(memory);
    }
  }

  private async findSupplicantCard(call: TaCall): Promise<Card> {
    const request = new Uint8Array(rpmbRequestHeaderSize);
    new DataView(request.buffer).setUint16(0, RpmbSupplicantCommand.getDeviceInfo, true);
    const info = await this.transfer(call, 'supplicant', request, rpmbDeviceInfoSize);
    const [size = 0, , failed] = info.subarray(rpmbCidSize);
    if (failed !== 0) throw new TeeError(TeeResult.ERROR_GENERIC, 'the supplicant cannot identify the card');
    return this.tryCard(call, 'supplicant', info.slice(0, rpmbCidSize), size);
  }

  /** The card, if it has our key or accepts it. @throws TeeError otherwise. */
  private async tryCard(call: TaCall, route: Card['route'], cid: Uint8Array, sizeMultiplier: number): Promise<Card> {
    if (sizeMultiplier === 0) throw new TeeError(TeeResult.ERROR_GENERIC, 'an RPMB of size 0');
    const card: Card = {
      route,
      key: this.options.hmac(this.options.secret, [cid]),
      blocks: Math.min(0x1_0000, (sizeMultiplier * rpmbSizeUnit) / rpmbBlockSize),
      counter: 0,
    };
    try {
      card.counter = await this.readCounter(call, card);
    } catch (error) {
      if (!(error instanceof TeeError && error.code === TeeResult.ERROR_ITEM_NOT_FOUND)) throw error;
      if (this.options.writeKey === false)
        throw new TeeError(
          TeeResult.ERROR_STORAGE_NOT_AVAILABLE,
          'the RPMB has no key, and writing one is not allowed',
        );
      await this.programKey(call, card);
      card.counter = await this.readCounter(call, card);
    }
    return card;
  }

  private async readCounter(call: TaCall, card: Card): Promise<number> {
    const request = new RpmbFrame();
    request.type = RpmbRequest.readCounter;
    request.nonce.set(this.newNonce());
    return this.verify(card, await this.exchange(call, card, [request], 1), request);
  }

  private async programKey(call: TaCall, card: Card): Promise<void> {
    const request = new RpmbFrame();
    request.type = RpmbRequest.programKey;
    request.mac.set(card.key);
    await this.exchange(call, card, [request], 1);
  }

  private async exchange(
    call: TaCall,
    card: Card,
    frames: readonly RpmbFrame[],
    answerCount: number,
  ): Promise<RpmbFrame[]> {
    const header = card.route === 'supplicant' ? rpmbRequestHeaderSize : 0;
    const request = new Uint8Array(header + frames.length * rpmbFrameSize);
    if (header > 0) new DataView(request.buffer).setUint16(4, answerCount, true);
    frames.forEach(({ bytes }, index) => {
      request.set(bytes, header + index * rpmbFrameSize);
    });
    return rpmbFrames(await this.transfer(call, card.route, request, answerCount * rpmbFrameSize));
  }

  /** One RPC: a request, and an answer of exactly `answerSize` bytes. */
  private async transfer(
    call: TaCall,
    route: Card['route'],
    request: Uint8Array,
    answerSize: number,
  ): Promise<Uint8Array> {
    const type = route === 'kernel' ? RpcShmType.kernel : RpcShmType.appl;
    const sent = await call.allocateRpcMemory(request.length, type);
    try {
      const back = await call.allocateRpcMemory(answerSize, type);
      try {
        sent.mobj.write(request);
        const answer = rpcMemref('output', back.mobj, answerSize);
        const command = route === 'kernel' ? RpcCommand.rpmbFrames : RpcCommand.rpmb;
        const result = await call.rpc(command, [rpcMemref('input', sent.mobj, request.length), answer]);
        if (result !== TeeResult.SUCCESS) throw new TeeError(result, 'the RPMB cannot be reached');
        // Copied once, then checked.
        return back.mobj.read(0, answerSize);
      } finally {
        await call.freeRpcMemory(back);
      }
    } finally {
      await call.freeRpcMemory(sent);
    }
  }

  /**
   * Check an answer in the same order as OP-TEE, the MAC last.
   * @param told called with the counter of an answer to a write as soon as it is read, before the MAC is checked.
   * @returns the counter in the answer.
   * @throws TeeError if it is not this card's answer to this request, or reports a failure.
   */
  private verify(
    card: Card,
    answers: readonly RpmbFrame[],
    request: RpmbFrame,
    told: (counter: number) => void = () => {},
  ): number {
    const last = answers.at(-1);
    if (last === undefined) throw new TeeError(TeeResult.ERROR_GENERIC, 'RPMB: no answer');
    const result = last.result & ~RpmbResult.counterExpired;
    if (result === RpmbResult.keyNotProgrammed)
      throw new TeeError(TeeResult.ERROR_ITEM_NOT_FOUND, 'the RPMB has no key');
    if (result !== RpmbResult.ok) throw new TeeError(TeeResult.ERROR_GENERIC, `RPMB result ${result}`);
    if (last.type !== rpmbResponseType(request.type))
      throw new TeeError(TeeResult.ERROR_GENERIC, `RPMB: an answer of type ${last.type}`);
    if (request.type !== RpmbRequest.readCounter && last.address !== request.address)
      throw new TeeError(TeeResult.ERROR_GENERIC, `RPMB: block ${last.address} for ${request.address}`);
    if (request.type === RpmbRequest.write) {
      told(last.counter);
      if (last.counter !== request.counter + 1)
        throw notTheCard(`the counter is ${last.counter} after ${request.counter}`);
    } else if (!equal(last.nonce, request.nonce)) throw notTheCard('it answers an earlier request');
    if (!equal(last.mac, this.mac(card.key, answers))) throw notTheCard('its MAC is wrong');
    return last.counter;
  }

  private mac(key: Uint8Array, frames: readonly RpmbFrame[]): Uint8Array {
    return this.options.hmac(
      key,
      frames.map(({ bytes }) => macProtected(bytes)),
    );
  }

  private newNonce(): Uint8Array {
    return Uint8Array.from({ length: 16 }, () => Math.floor(this.options.random() * 256));
  }
}

function checkBlocks(card: Card, block: number, count: number): void {
  if (!(Number.isInteger(count) && count >= 1 && block >= 0 && block + count <= card.blocks))
    throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS, `${count} blocks from ${block} of ${card.blocks}`);
}

function notTheCard(what: string): TeeError {
  return new TeeError(TeeResult.ERROR_SECURITY, `RPMB: ${what}`);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
