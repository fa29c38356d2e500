import { startTimer } from '../../clock/timer.js';
import { type Conduit, type SmcRegisters, smcRegisters } from '../../protocol/conduit.js';
import {
  Ffa,
  FfaError,
  ffaErrorName,
  ffaVersion,
  notificationsOfPartitions,
  partitionInfoSize,
  rangesOfPages,
  readPartitionInfo,
  uuidWords,
  writeMemoryTransaction,
} from '../../protocol/ffa.js';
import { opteePartitionUuid } from '../../protocol/optee-ffa.js';
import { fromRegisterPair, lower32, upper32 } from '../../protocol/optee-smc.js';
import { type PhysicalAddress, type PhysicalMemory, pageSize } from '../../protocol/physical-memory.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { commsError } from '../../tee/teec-error.js';

/**
 * Size of each of the two mailboxes, in pages. A descriptor of 4,000 ranges fits in one piece. OP-TEE's own partition
 * manager has refused descriptors in several pieces since 4.10 (docs/findings.md).
 */
const mailboxPages = 16;
/** Size of the normal-world memory for the mailboxes, in bytes. */
export const mailboxMemorySize = 2 * mailboxPages * pageSize;

/** Number of interrupts of one message after which the event loop gets a turn: a world in this process could block it. */
const runsPerTurn = 1000;

/** Features that the driver needs. */
const requiredFeatures = [Ffa.rxtxMap, Ffa.partitionInfoGet, Ffa.msgSendDirectReq, Ffa.memShare, Ffa.memReclaim];

/** Who sends a message. */
export interface FfaSender {
  /** Its SMC that is under way: the message itself, or the resumption of an interrupted partition. */
  smc: SmcRegisters | undefined;
}

/**
 * A connection to OP-TEE's partition through the secure partition manager: the part of Linux's arm_ffa driver that
 * OP-TEE needs.
 */
export class FfaLink {
  /** Sender and receiver of our messages, as in w1 of a direct message. */
  private readonly endpoints: number;
  private readonly mailboxSize = mailboxPages * pageSize;
  /** There is only one transmit mailbox, so memory is shared by one caller at a time. */
  private mailboxFree: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly conduit: Conduit,
    private readonly memory: PhysicalMemory,
    private readonly transmit: PhysicalAddress,
    private readonly ownId: number,
    readonly partition: number,
  ) {
    this.endpoints = (ownId * 0x1_0000 + partition) >>> 0;
  }

  /**
   * Negotiate a version, check the features, register the mailboxes, find OP-TEE.
   * @param mailboxes `mailboxMemorySize` bytes of normal-world memory, page-aligned, below 4 GiB, and otherwise unused.
   * @throws TeecError NOT_SUPPORTED with the reason.
   */
  static async open(conduit: Conduit, memory: PhysicalMemory, mailboxes: PhysicalAddress): Promise<FfaLink> {
    const version = (await conduit.smc(smcRegisters(Ffa.version, ffaVersion.word))).a0;
    if (version >>> 16 !== ffaVersion.major || (version & 0xffff) < ffaVersion.minor)
      throw refused(
        version === FfaError.notSupported
          ? 'it does not support FF-A'
          : `its FF-A version is ${version >>> 16}.${version & 0xffff}, expected ${ffaVersion.major}.${ffaVersion.minor}`,
      );
    for (const feature of requiredFeatures)
      if ((await conduit.smc(smcRegisters(Ffa.features, feature))).a0 !== Ffa.success)
        throw refused(`its FF-A lacks function 0x${feature.toString(16)}`);
    const id = await succeed(conduit, smcRegisters(Ffa.idGet), 'reading our id');
    const receive = mailboxes + mailboxPages * pageSize;
    await succeed(conduit, smcRegisters(Ffa.rxtxMap, mailboxes, receive, mailboxPages), 'registering mailboxes');
    try {
      return new FfaLink(conduit, memory, mailboxes, id.a2 & 0xffff, await findOptee(conduit, memory, receive));
    } catch (error) {
      await conduit.smc(smcRegisters(Ffa.rxtxUnmap));
      throw error;
    }
  }

  /**
   * Send a direct message to OP-TEE. The answer's a3..a7 are OP-TEE's. A partition that was interrupted is resumed with
   * FFA_RUN.
   * @throws TeecError COMMUNICATION if the message was not answered.
   */
  direct(a3: number, a4 = 0, a5 = 0, a6 = 0, a7 = 0): SmcRegisters | Promise<SmcRegisters> {
    return this.directFor(undefined, a3, a4, a5, a6, a7);
  }

  /** The same, and the sender knows the SMC that is under way. */
  directFor(
    sender: FfaSender | undefined,
    a3: number,
    a4 = 0,
    a5 = 0,
    a6 = 0,
    a7 = 0,
  ): SmcRegisters | Promise<SmcRegisters> {
    const request = smcRegisters(Ffa.msgSendDirectReq, this.endpoints, 0, a3, a4, a5, a6, a7);
    if (sender !== undefined) sender.smc = request;
    const answer = this.conduit.smc(request);
    if (answer instanceof Promise || answer.a0 !== Ffa.msgSendDirectResp) return this.awaitResponse(answer, sender);
    return answer;
  }

  /** Whether an SMC has not begun yet, because no processor is free. */
  waitsForProcessor(registers: SmcRegisters): boolean {
    return this.conduit.waitsForProcessor?.(registers) ?? false;
  }

  /** Share memory with OP-TEE. @returns its handle. @throws TeecError OUT_OF_MEMORY, COMMUNICATION */
  async share(pages: readonly PhysicalAddress[]): Promise<number> {
    const descriptor = writeMemoryTransaction({
      sender: this.ownId,
      receiver: this.partition,
      ranges: rangesOfPages(pages),
    });
    const doing = `sharing ${pages.length * pageSize} bytes of memory`;
    const shared = this.mailboxFree.then(() => this.sendDescriptor(descriptor, doing));
    this.mailboxFree = shared.catch(() => undefined);
    return shared;
  }

  /** Reclaim shared memory. @throws TeecError COMMUNICATION; the memory then remains shared. */
  async reclaim(handle: number): Promise<void> {
    const doing = `reclaiming memory 0x${handle.toString(16)}`;
    await succeed(this.conduit, smcRegisters(Ffa.memReclaim, lower32(handle), upper32(handle)), doing);
  }

  /** Bind one of OP-TEE's notifications (0..63), so that it is delivered to us. */
  async bindNotification(notification: number): Promise<void> {
    await succeed(this.conduit, smcRegisters(Ffa.notificationBitmapCreate, this.ownId, 1), 'creating notifications');
    const low = notification < 32 ? (1 << notification) >>> 0 : 0;
    const high = notification < 32 ? 0 : (1 << (notification - 32)) >>> 0;
    const endpoints = (this.partition * 0x1_0000 + this.ownId) >>> 0;
    await succeed(this.conduit, smcRegisters(Ffa.notificationBind, endpoints, 0, low, high), 'binding a notification');
  }

  /** Fetch the pending notifications and clear them. */
  async takeNotifications(): Promise<readonly number[]> {
    const { a2, a3 } = await succeed(
      this.conduit,
      smcRegisters(Ffa.notificationGet, this.ownId, notificationsOfPartitions),
      'fetching notifications',
    );
    const pending: number[] = [];
    for (let bit = 0; bit < 64; bit++) if ((((bit < 32 ? a2 : a3) >>> (bit % 32)) & 1) !== 0) pending.push(bit);
    return pending;
  }

  async close(): Promise<void> {
    await this.conduit.smc(smcRegisters(Ffa.notificationBitmapDestroy, this.ownId));
    await this.conduit.smc(smcRegisters(Ffa.rxtxUnmap));
  }

  private async awaitResponse(
    first: SmcRegisters | Promise<SmcRegisters>,
    sender: FfaSender | undefined,
  ): Promise<SmcRegisters> {
    let answer = await first;
    for (let runs = 1; answer.a0 === Ffa.interrupt; runs++) {
      if (runs % runsPerTurn === 0) await new Promise<void>((resolve) => startTimer(0, resolve));
      const resume = smcRegisters(Ffa.run, answer.a1);
      if (sender !== undefined) sender.smc = resume;
      answer = await this.conduit.smc(resume);
    }
    if (answer.a0 === Ffa.msgSendDirectResp) return answer;
    throw commsError(TeeResult.ERROR_COMMUNICATION, `a message to OP-TEE: ${said(answer)}`);
  }

  /**
   * A descriptor that is larger than the mailbox is sent in several pieces.
   * @param doing for the error.
   */
  private async sendDescriptor(descriptor: Uint8Array, doing: string): Promise<number> {
    let sent = this.fill(descriptor, 0);
    let answer = await this.conduit.smc(smcRegisters(Ffa.memShare, descriptor.length, sent));
    while (answer.a0 === Ffa.memFragRx) {
      if (answer.a3 !== sent || sent === descriptor.length)
        throw commsError(
          TeeResult.ERROR_COMMUNICATION,
          `${doing}: asked for the descriptor from ${answer.a3} where ${sent} of ${descriptor.length} bytes were sent`,
        );
      const length = this.fill(descriptor, sent);
      answer = await this.conduit.smc(smcRegisters(Ffa.memFragTx, answer.a1, answer.a2, length, answer.a4));
      sent += length;
    }
    if (answer.a0 === Ffa.error && answer.a2 === FfaError.noMemory)
      throw commsError(TeeResult.ERROR_OUT_OF_MEMORY, `${doing}: FFA_NO_MEMORY`);
    if (answer.a0 !== Ffa.success) throw commsError(TeeResult.ERROR_COMMUNICATION, `${doing}: ${said(answer)}`);
    return fromRegisterPair(answer.a3, answer.a2);
  }

  private fill(descriptor: Uint8Array, from: number): number {
    const piece = descriptor.subarray(from, from + this.mailboxSize);
    this.memory.window(this.transmit, piece.length).set(piece);
    return piece.length;
  }
}

async function findOptee(conduit: Conduit, memory: PhysicalMemory, receive: PhysicalAddress): Promise<number> {
  const words = uuidWords(opteePartitionUuid);
  const { a2: count, a3: size } = await succeed(
    conduit,
    smcRegisters(Ffa.partitionInfoGet, ...words),
    'looking for OP-TEE',
  );
  if (count !== 1) throw refused(`it has ${count} partitions of OP-TEE`);
  if (size !== partitionInfoSize) throw refused(`it describes a partition in ${size} bytes, not ${partitionInfoSize}`);
  const info = readPartitionInfo(memory.window(receive, partitionInfoSize).slice());
  await conduit.smc(smcRegisters(Ffa.rxRelease));
  if (!info.receivesDirectRequests)
    throw refused(`OP-TEE, partition 0x${info.id.toString(16)}, does not accept messages`);
  return info.id;
}

async function succeed(conduit: Conduit, registers: SmcRegisters, doing: string): Promise<SmcRegisters> {
  const answer = await conduit.smc(registers);
  if (answer.a0 === Ffa.success) return answer;
  throw commsError(TeeResult.ERROR_COMMUNICATION, `${doing}: ${said(answer)}`);
}

function said({ a0, a2 }: SmcRegisters): string {
  return a0 === Ffa.error ? ffaErrorName(a2) : `the answer was function 0x${a0.toString(16)}`;
}

function refused(why: string) {
  return commsError(TeeResult.ERROR_NOT_SUPPORTED, `probing secure world: ${why}`);
}
