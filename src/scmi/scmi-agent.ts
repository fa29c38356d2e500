import type { KernelContext } from '../client/context.js';
import type { Tee } from '../client/tee.js';
import { type OptionNames, requireKnownOptions } from '../known-options.js';
import type { ScmiProtocol } from '../protocol/scmi.js';
import { ScmiChannel, type ScmiTransport } from './scmi-channel.js';
import { ScmiBase, ScmiClocks, ScmiResets, ScmiVoltages } from './scmi-protocols.js';

export type ScmiProtocolName = keyof typeof ScmiProtocol;

export interface ScmiAgentOptions {
  /** What traces and reports call the agent. */
  readonly label?: string;
  /** False: asks for no system sessions, as Linux's transport did before 6.8. */
  readonly system?: boolean;
  /** How messages travel; `msg` when left out. */
  readonly transport?: ScmiTransport;
  /** The id of the channel for each protocol; 0 where nothing is said. Protocols with one id share a channel. */
  readonly channels?: Partial<Readonly<Record<ScmiProtocolName, number>>>;
}

const namesOnContext: OptionNames<Omit<ScmiAgentOptions, 'label'>> = { system: true, transport: true, channels: true };
const names: OptionNames<ScmiAgentOptions> = { ...namesOnContext, label: true };
const protocolNames: OptionNames<typeof ScmiProtocol> = { base: true, clock: true, reset: true, voltage: true };

/**
 * An SCMI agent: the normal world's side of the platform's clocks, regulators and resets, when their server is in OP-TEE.
 * Each channel is a session of its own, and a system session where that can be had: whoever holds a thread of secure
 * world may wait for a clock.
 */
export class ScmiAgent implements AsyncDisposable {
  private constructor(
    private readonly context: KernelContext,
    /** By id; each says whether a thread is kept for its messages. */
    readonly channels: ReadonlyMap<number, { readonly system: boolean }>,
    readonly base: ScmiBase,
    readonly clocks: ScmiClocks,
    readonly voltages: ScmiVoltages,
    readonly resets: ScmiResets,
  ) {}

  /** Every channel is a system session. When not, the deadlock that these prevent is possible. */
  get system(): boolean {
    return [...this.channels.values()].every((channel) => channel.system);
  }

  /** @throws TeecError ITEM_NOT_FOUND when OP-TEE has no SCMI service; what it answers when it lacks a channel. */
  static async open(tee: Tee, options: ScmiAgentOptions = {}): Promise<ScmiAgent> {
    requireKnownOptions('SCMI agent', options, names);
    const { label = 'scmi agent', ...rest } = options;
    return ScmiAgent.openOn(tee.openKernelContext({ label }), rest);
  }

  /** The same with a context of the caller's, which goes with the agent, or with its failure. */
  static async openOn(context: KernelContext, options: Omit<ScmiAgentOptions, 'label'> = {}): Promise<ScmiAgent> {
    try {
      requireKnownOptions('SCMI agent', options, namesOnContext);
      const { system = true, transport = 'msg', channels = {} } = options;
      requireKnownOptions('channels of the SCMI agent', channels, protocolNames);
      const opened = new Map<number, ScmiChannel>();
      const channelFor = async (protocol: ScmiProtocolName) => {
        const id = channels[protocol] ?? 0;
        const channel = opened.get(id) ?? (await ScmiChannel.open(context, id, transport, system));
        opened.set(id, channel);
        return channel;
      };
      return new ScmiAgent(
        context,
        opened,
        new ScmiBase(await channelFor('base')),
        new ScmiClocks(await channelFor('clock')),
        new ScmiVoltages(await channelFor('voltage')),
        new ScmiResets(await channelFor('reset')),
      );
    } catch (error) {
      await context.close();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.context.close();
  }
}
