import type { KernelContext } from '../client/context.js';
import type { Tee } from '../client/tee.js';
import { type OptionNames, requireBooleans, requireKnownOptions } from '../known-options.js';
import type { ScmiProtocol } from '../protocol/scmi.js';
import { show } from '../show.js';
import { ScmiChannel, type ScmiTransport } from './scmi-channel.js';
import { ScmiBase, ScmiClocks, ScmiResets, ScmiVoltages } from './scmi-protocols.js';

/** The names of the supported protocols: `base`, `clock`, `reset`, `voltage`. */
export type ScmiProtocolName = keyof typeof ScmiProtocol;

/** Options of `ScmiAgent.open`. */
export interface ScmiAgentOptions {
  /** The name of the agent in traces and reports. */
  readonly label?: string;
  /** False: do not request system sessions, like Linux's transport before 6.8. Default: true. */
  readonly system?: boolean;
  /** The transport of messages. Default: `msg`. */
  readonly transport?: ScmiTransport;
  /** The channel id of each protocol. Default: 0. Protocols with the same id share a channel. */
  readonly channels?: Partial<Readonly<Record<ScmiProtocolName, number>>>;
}

const namesOnContext: OptionNames<Omit<ScmiAgentOptions, 'label'>> = { system: true, transport: true, channels: true };
const names: OptionNames<ScmiAgentOptions> = { ...namesOnContext, label: true };
const protocolNames: OptionNames<typeof ScmiProtocol> = { base: true, clock: true, reset: true, voltage: true };

/**
 * An SCMI agent: the normal world's side of the platform's clocks, regulators and resets, when the SCMI server is in
 * OP-TEE. Each channel has its own session, a system session if possible: a call that holds a thread of secure world
 * may be waiting for a clock.
 */
export class ScmiAgent implements AsyncDisposable {
  private constructor(
    private readonly context: KernelContext,
    /** By id; `system` says whether a thread is kept in reserve for its messages. */
    readonly channels: ReadonlyMap<number, { readonly system: boolean }>,
    readonly base: ScmiBase,
    readonly clocks: ScmiClocks,
    readonly voltages: ScmiVoltages,
    readonly resets: ScmiResets,
  ) {}

  /** Whether every channel has a system session. If not, the deadlock that system sessions prevent is possible. */
  get system(): boolean {
    return [...this.channels.values()].every((channel) => channel.system);
  }

  /** @throws TeecError ITEM_NOT_FOUND if OP-TEE has no SCMI service; OP-TEE's error if it lacks a channel. */
  static async open(tee: Tee, options: ScmiAgentOptions = {}): Promise<ScmiAgent> {
    requireKnownOptions('SCMI agent', options, names);
    const { label = 'scmi agent', ...rest } = options;
    return ScmiAgent.openOn(tee.openKernelContext({ label }), rest);
  }

  /** The same with a context of the caller. It is closed with the agent, or if opening fails. */
  static async openOn(context: KernelContext, options: Omit<ScmiAgentOptions, 'label'> = {}): Promise<ScmiAgent> {
    try {
      requireKnownOptions('SCMI agent', options, namesOnContext);
      const { system = true, transport = 'msg', channels = {} } = options;
      requireKnownOptions('channels of the SCMI agent', channels, protocolNames);
      if (transport !== 'msg' && transport !== 'smt' && typeof transport?.smtMemory !== 'function')
        throw new TypeError(`SCMI agent: transport is ${show(transport)}; allowed: "msg", "smt" and { smtMemory }`);
      requireBooleans('SCMI agent', { system });
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
