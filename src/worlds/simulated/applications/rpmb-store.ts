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
import { TeeError } from '../ta/trusted-application.js';
import type { Mutex } from '../threads/wait-queue.js';

/** HMAC-SHA256: 32 octets. */
type Hmac = (key: Uint8Array, data: readonly Uint8Array[]) => Uint8Array;

export interface RpmbStoreOptions {
  readonly hmac: Hmac;
  /** What secure world alone knows, and keys are derived from: the hardware unique key. */
  readonly secret: Uint8Array;
  /** For nonces. */
  readonly random: Random;
  /** Program the key into a card that has none (CFG_RPMB_WRITE_KEY): true when left out. */
  readonly writeKey?: boolean;
}

/** The card in use. */
interface Card {
  /** How it is reached: frames routed by the kernel, or requests to the supplicant. */
  readonly route: 'kernel' | 'supplicant';
  readonly key: Uint8Array;
  readonly blocks: number;
  /** Blocks that one write may have. */
  readonly writeMax: number;
  counter: number;
}

/**
 * Blocks that the normal world can neither forge nor put back to what they were: core/tee/tee_rpmb_fs.c, below its file
 * system. One access at a time, as with OP-TEE's rpmb_mutex; who waits for it keeps a thread.
 */
export class RpmbStore {
  private card: Card | undefined;
  private mutex: Mutex | undefined;

  constructor(private readonly options: RpmbStoreOptions) {}

  /** @throws TeeError SECURITY when what comes back is not the card's; STORAGE_NOT_AVAILABLE without a card of ours. */
  read(call: TaCall, block: number, count: number): Promise<Uint8Array> {
    return this.exclusively(call, async (card) => {
      checkBlocks(card, block, count);
      const request = new RpmbFrame();
      request.type = RpmbRequest.read;
      request.address = block;
      request.nonce.set(this.newNonce());
      const answers = await this.exchange(call, card, [request], count);
      this.verify(card, answers, request);
      for (const answer of answers)
        if (answer.address !== block) throw notTheCard(`blocks from ${answer.address} came, not from ${block}`);
      const data = new Uint8Array(count * rpmbBlockSize);
      answers.forEach((answer, index) => {
        data.set(answer.data, index * rpmbBlockSize);
      });
      return data;
    });
  }

  /** @param data whole blocks. @throws TeeError as `read` does. */
  write(call: TaCall, block: number, data: Uint8Array): Promise<void> {
    return this.exclusively(call, async (card) => {
      const count = data.length / rpmbBlockSize;
      checkBlocks(card, block, count);
      for (let done = 0; done < count; done += card.writeMax)
        await this.writePart(
          call,
          card,
          block + done,
          data.subarray(done * rpmbBlockSize, (done + card.writeMax) * rpmbBlockSize),
        );
    });
  }

  private async writePart(call: TaCall, card: Card, block: number, data: Uint8Array): Promise<void> {
    const count = data.length / rpmbBlockSize;
    const frames = Array.from({ length: count }, (_, index) => {
      const frame = new RpmbFrame();
      frame.type = RpmbRequest.write;
      frame.address = block;
      frame.blockCount = count;
      frame.counter = card.counter;
      frame.data.set(data.subarray(index * rpmbBlockSize, (index + 1) * rpmbBlockSize));
      return frame;
    });
    frames.at(-1)?.mac.set(this.mac(card.key, frames));
    const [request] = frames;
    if (request === undefined) return;
    const answers = await this.exchange(call, card, frames, 1);
    this.verify(card, answers, request);
    const counter = answers[0]?.counter ?? 0;
    if (counter !== card.counter + 1) throw notTheCard(`the counter is ${counter} after ${card.counter}`);
    card.counter = counter;
  }

  /** One access at a time. After a failure the card is looked for anew. */
  private async exclusively<T>(call: TaCall, access: (card: Card) => Promise<T>): Promise<T> {
    this.mutex ??= call.createMutex();
    return call.locked(this.mutex, async () => {
      try {
        this.card ??= await this.findCard(call);
        return await access(this.card);
      } catch (error) {
        this.card = undefined;
        throw error;
      }
    });
  }

  private async findCard(call: TaCall): Promise<Card> {
    const reset = rpcValue('output');
    const result = await call.rpc(RpcCommand.rpmbProbeReset, [reset]);
    if (result === TeeResult.ERROR_NOT_SUPPORTED) return this.findSupplicantCard(call);
    if (result !== TeeResult.SUCCESS || reset.a !== RpcShmType.kernel) throw noCard();
    const memory = await call.allocateRpcMemory(rpmbFrameSize, RpcShmType.kernel);
    try {
      for (;;) {
        const device = rpcValue('output');
        const cid = rpcMemref('output', memory.mobj, rpmbCidSize);
        if ((await call.rpc(RpcCommand.rpmbProbeNext, [device, cid])) !== TeeResult.SUCCESS) throw noCard();
        if (device.a !== rpmbKindEmmc || cid.size !== rpmbCidSize) continue;
        const card = await this.tryCard(call, 'kernel', memory.mobj.read(0, rpmbCidSize), device.b, device.c);
        if (card !== undefined) return card;
      }
    } finally {
      await call.freeRpcMemory(memory);
    }
  }

  private async findSupplicantCard(call: TaCall): Promise<Card> {
    const request = new Uint8Array(rpmbRequestHeaderSize);
    new DataView(request.buffer).setUint16(0, RpmbSupplicantCommand.getDeviceInfo, true);
    const info = await this.transfer(call, 'supplicant', request, rpmbDeviceInfoSize);
    const [size = 0, sectors = 0, failed] = info.subarray(rpmbCidSize);
    const card =
      failed === 0 ? await this.tryCard(call, 'supplicant', info.slice(0, rpmbCidSize), size, sectors) : undefined;
    if (card === undefined) throw noCard();
    return card;
  }

  /** The card when it has our key, or takes it. */
  private async tryCard(
    call: TaCall,
    route: Card['route'],
    cid: Uint8Array,
    sizeMultiplier: number,
    reliableWriteSectors: number,
  ): Promise<Card | undefined> {
    const card: Card = {
      route,
      key: this.options.hmac(this.options.secret, [cid]),
      blocks: Math.min(0x1_0000, (sizeMultiplier * rpmbSizeUnit) / rpmbBlockSize),
      writeMax: Math.max(1, Math.min(2 * reliableWriteSectors, 32)),
      counter: 0,
    };
    for (let attempt = 0; attempt < 2; attempt++) {
      const request = new RpmbFrame();
      request.type = RpmbRequest.readCounter;
      request.nonce.set(this.newNonce());
      const answers = await this.exchange(call, card, [request], 1);
      const [answer] = answers;
      if (answer?.result === RpmbResult.keyNotProgrammed && attempt === 0 && this.options.writeKey !== false) {
        await this.programKey(call, card);
        continue;
      }
      try {
        this.verify(card, answers, request);
      } catch (error) {
        // Another's card.
        if (error instanceof TeeError) return undefined;
        throw error;
      }
      card.counter = answer?.counter ?? 0;
      return card;
    }
    return undefined;
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

  /** One RPC: a request, and an answer of exactly that size. */
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
        if (result !== TeeResult.SUCCESS)
          throw new TeeError(
            // Nobody serves RPMB, or there is no card.
            result === TeeResult.ERROR_NOT_SUPPORTED || result === TeeResult.ERROR_ITEM_NOT_FOUND
              ? TeeResult.ERROR_STORAGE_NOT_AVAILABLE
              : result,
            'the RPMB cannot be reached',
          );
        if (answer.size !== answerSize) throw notTheCard(`${answer.size} bytes came back, not ${answerSize}`);
        // Copied once, then checked.
        return back.mobj.read(0, answerSize);
      } finally {
        await call.freeRpcMemory(back);
      }
    } finally {
      await call.freeRpcMemory(sent);
    }
  }

  /** @throws TeeError when the answer is not this card's answer to this request, or says that it failed. */
  private verify(card: Card, answers: readonly RpmbFrame[], request: RpmbFrame): void {
    const last = answers.at(-1);
    if (last === undefined || !equal(last.mac, this.mac(card.key, answers))) throw notTheCard('its MAC is wrong');
    for (const answer of answers) {
      if (answer.type !== rpmbResponseType(request.type)) throw notTheCard(`it answers with type ${answer.type}`);
      if (request.type !== RpmbRequest.write && !equal(answer.nonce, request.nonce))
        throw notTheCard('it answers an earlier request');
      if (answer.result !== RpmbResult.ok) throw new TeeError(resultOf(answer.result), `RPMB result ${answer.result}`);
    }
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

function resultOf(result: number): number {
  switch (result) {
    case RpmbResult.authenticationFailure:
    case RpmbResult.counterFailure:
      return TeeResult.ERROR_SECURITY;
    case RpmbResult.keyNotProgrammed:
      return TeeResult.ERROR_STORAGE_NOT_AVAILABLE;
    default:
      return TeeResult.ERROR_GENERIC;
  }
}

function checkBlocks(card: Card, block: number, count: number): void {
  if (!(Number.isInteger(count) && count >= 1 && block >= 0 && block + count <= card.blocks))
    throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS, `${count} blocks from ${block} of ${card.blocks}`);
}

function notTheCard(what: string): TeeError {
  return new TeeError(TeeResult.ERROR_SECURITY, `RPMB: ${what}`);
}

function noCard(): TeeError {
  return new TeeError(TeeResult.ERROR_STORAGE_NOT_AVAILABLE, 'there is no RPMB with our key');
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
