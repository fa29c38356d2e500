import type { KernelContext } from '../client/context.js';
import { memref, value } from '../client/parameters.js';
import type { KernelSession } from '../client/session.js';
import type { SharedMemory } from '../client/shared-memory.js';
import { ScmiPtaCapability, ScmiPtaCommand, scmiPtaUuid } from '../protocol/pta-scmi.js';
import { ScmiStatus, Smt, scmiHeader, scmiHeaderSize, smtError, smtFree, smtSize } from '../protocol/scmi.js';
import { ScmiError } from './scmi-error.js';

/** The transport of messages in a channel. */
export type ScmiTransport =
  /** A buffer with a header of its own (SMT), shared as long as the channel exists. */
  | 'smt'
  /** Message and answer in two buffers. */
  | 'msg'
  /**
   * Like `smt`, in memory that both sides know in advance (a device tree's `shmem`): a view of its bytes, by channel.
   */
  | { readonly smtMemory: (channel: number) => Uint8Array };

/** The memory of a channel. It is allocated before the first message, because a message must not wait for memory. */
type ChannelMemory =
  | { readonly transport: 'msg'; readonly request: SharedMemory; readonly answer: SharedMemory }
  | { readonly transport: 'smt'; readonly buffer: SharedMemory }
  | { readonly transport: 'static'; readonly bytes: Uint8Array };

async function channelMemory(context: KernelContext, id: number, transport: ScmiTransport): Promise<ChannelMemory> {
  if (transport === 'msg')
    return {
      transport,
      request: await context.allocateSharedMemory(smtSize),
      answer: await context.allocateSharedMemory(smtSize),
    };
  if (transport === 'smt') return { transport, buffer: await context.allocateSharedMemory(smtSize) };
  return { transport: 'static', bytes: transport.smtMemory(id) };
}

/**
 * A channel of an SCMI agent: a session with OP-TEE's SCMI service, a system session if possible. One message at a
 * time. Linux: drivers/firmware/arm_scmi/transports/optee.c.
 */
export class ScmiChannel {
  private token = 0;
  /** Resolves when the previous message has its answer. */
  private idle: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly session: KernelSession,
    private readonly handle: number,
    private readonly memory: ChannelMemory,
    /** Whether a thread of secure world is kept in reserve for its messages. */
    readonly system: boolean,
  ) {}

  /**
   * Open a channel.
   * @param id the channel id; 0 if there is only one.
   * @param wantSystem request a system session.
   * @throws TeecError if there is no SCMI service or no such channel; ScmiError NOT_SUPPORTED if the service does not
   *   support the transport.
   */
  static async open(
    context: KernelContext,
    id: number,
    transport: ScmiTransport,
    wantSystem: boolean,
  ): Promise<ScmiChannel> {
    const session = await context.openSession(scmiPtaUuid);
    try {
      // Best effort, as in Linux: without a system session the channel works, but the deadlock is possible.
      const system = wantSystem && session.systemSession();
      const wanted = transport === 'msg' ? ScmiPtaCapability.msg : ScmiPtaCapability.smt;
      const [capabilities] = await session.invoke(ScmiPtaCommand.capabilities, [value.output()]);
      if ((capabilities.a & wanted) === 0)
        throw new ScmiError(
          ScmiStatus.notSupported,
          `opening channel ${id}: the service has capabilities ${capabilities.a}`,
        );
      const [channel] = await session.invoke(ScmiPtaCommand.getChannelHandle, [value.inout(id, wanted)]);
      const memory = await channelMemory(context, id, transport);
      return new ScmiChannel(session, channel.a, memory, system);
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /**
   * Send a command and wait for its answer.
   * @returns the payload after the status.
   * @throws ScmiError with the platform's status, or PROTOCOL_ERROR if the answer does not belong to this command.
   */
  request(protocol: number, message: number, words: readonly number[], doing: string): Promise<DataView> {
    const answered = this.idle.then(() => this.exchange(protocol, message, words, doing));
    this.idle = answered.catch(() => undefined);
    return answered;
  }

  private async exchange(
    protocol: number,
    message: number,
    words: readonly number[],
    doing: string,
  ): Promise<DataView> {
    const header = scmiHeader(protocol, message, this.token++);
    const payload = new Uint8Array(words.length * 4);
    const view = new DataView(payload.buffer);
    words.forEach((word, index) => {
      view.setUint32(index * 4, word >>> 0, true);
    });
    const answer = await this.carry(header, payload, doing);
    // `answer` is a copy, so it cannot change after the checks.
    const back = new DataView(answer.buffer, answer.byteOffset, answer.length);
    if (answer.length < scmiHeaderSize + 4)
      throw new ScmiError(ScmiStatus.protocolError, `${doing}: an answer of ${answer.length} bytes`);
    if (back.getUint32(0, true) !== header)
      throw new ScmiError(
        ScmiStatus.protocolError,
        `${doing}: sent header 0x${header.toString(16)}, got 0x${back.getUint32(0, true).toString(16)}`,
      );
    const status = back.getInt32(4, true);
    if (status !== ScmiStatus.success) throw new ScmiError(status, doing);
    return new DataView(answer.buffer, answer.byteOffset + 8, answer.length - 8);
  }

  private carry(header: number, payload: Uint8Array, doing: string): Promise<Uint8Array> {
    const { memory } = this;
    switch (memory.transport) {
      case 'msg':
        return this.exchangeMsg(memory.request, memory.answer, header, payload);
      case 'smt':
        return this.exchangeSmt(memory.buffer.bytes, header, payload, doing, () =>
          this.session.invoke(ScmiPtaCommand.processSmtChannelMessage, [
            value.input(this.handle),
            memref.inout(memory.buffer),
          ]),
        );
      case 'static':
        return this.exchangeSmt(memory.bytes, header, payload, doing, () =>
          this.session.invoke(ScmiPtaCommand.processSmtChannel, [value.input(this.handle)]),
        );
      default:
        return memory satisfies never;
    }
  }

  private async exchangeMsg(
    request: SharedMemory,
    answer: SharedMemory,
    header: number,
    payload: Uint8Array,
  ): Promise<Uint8Array> {
    new DataView(request.bytes.buffer, request.bytes.byteOffset).setUint32(0, header, true);
    request.bytes.set(payload, scmiHeaderSize);
    const [, , written] = await this.session.invoke(ScmiPtaCommand.processMsgChannel, [
      value.input(this.handle),
      memref.input(request, { size: scmiHeaderSize + payload.length }),
      memref.output(answer),
    ]);
    return written.slice();
  }

  private async exchangeSmt(
    bytes: Uint8Array,
    header: number,
    payload: Uint8Array,
    doing: string,
    process: () => Promise<unknown>,
  ): Promise<Uint8Array> {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    view.setUint32(Smt.status, 0, true);
    view.setUint32(Smt.flags, 0, true);
    view.setUint32(Smt.length, scmiHeaderSize + payload.length, true);
    view.setUint32(Smt.header, header, true);
    bytes.set(payload, Smt.payload);
    await process();
    const status = view.getUint32(Smt.status, true);
    const length = view.getUint32(Smt.length, true);
    if ((status & smtError) !== 0 || (status & smtFree) === 0)
      throw new ScmiError(ScmiStatus.protocolError, `${doing}: channel status ${status}`);
    if (length > bytes.length - Smt.header)
      throw new ScmiError(ScmiStatus.protocolError, `${doing}: an answer of ${length} bytes in ${bytes.length}`);
    return bytes.slice(Smt.header, Smt.header + length);
  }
}
