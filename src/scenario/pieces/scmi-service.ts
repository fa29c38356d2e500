import { KernelContext } from '../../client/context.js';
import { ScmiPtaCommand } from '../../protocol/pta-scmi.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { ScmiAgent, type ScmiClocks, ScmiError, type ScmiResets, type ScmiVoltages } from '../../scmi/index.js';
import { badParameters, commsError } from '../../tee/teec-error.js';
import { SimulatedClock, SimulatedRegulator, SimulatedReset, scmiPta } from '../../worlds/simulated/index.js';
import type { ScenarioClient, ShippedApplication } from '../scenario.js';
import type { Processors } from './processors.js';
import type { RunningApplication } from './running-application.js';
import { computing } from './shipped-applications.js';

/** The rate of every clock of a scenario in hertz, and the levels of its regulators in microvolts. */
const rates = [52_000_000] as const;
const levels = { min: 1_800_000, max: 3_300_000, step: 100_000 };

type Controlled = Pick<ShippedApplication, 'clocks' | 'regulators' | 'resets'>;

/** The commands of each kind of device, by the suffix of their name. */
const clockCommands = {
  on: (clocks: ScmiClocks, id: number) => clocks.enable(id),
  off: (clocks: ScmiClocks, id: number) => clocks.disable(id),
  rate: (clocks: ScmiClocks, id: number) => clocks.rate(id),
  'set-rate': (clocks: ScmiClocks, id: number) => clocks.setRate(id, rates[0]),
} as const;
const regulatorCommands = {
  on: (voltages: ScmiVoltages, id: number) => voltages.enable(id),
  off: (voltages: ScmiVoltages, id: number) => voltages.disable(id),
  level: (voltages: ScmiVoltages, id: number) => voltages.level(id),
  'set-level': (voltages: ScmiVoltages, id: number) => voltages.setLevel(id, levels.min),
} as const;
const resetCommands = {
  reset: (resets: ScmiResets, id: number) => resets.reset(id),
  assert: (resets: ScmiResets, id: number) => resets.assert(id),
  deassert: (resets: ScmiResets, id: number) => resets.deassert(id),
} as const;

/** The command of the base protocol, which every platform has. */
const versionCommand = 'version';

/** The commands of an SCMI service's clients: `emmc-clock-on`, `vmmc-set-level`, `modem-reset`, `version`. */
export function scmiCommands({ clocks, regulators, resets }: Controlled): string[] {
  const of = (names: readonly string[], commands: object) =>
    names.flatMap((name) => Object.keys(commands).map((command) => `${name}-${command}`));
  return [
    ...of(clocks, clockCommands),
    ...of(regulators, regulatorCommands),
    ...of(resets, resetCommands),
    versionCommand,
  ];
}

/** An SCMI service in the simulated OP-TEE with its clocks, regulators and resets. Each of its clients is an agent. */
export function scmiService(application: ShippedApplication, processors: Processors): RunningApplication {
  const clocks = application.clocks.map((name) => new SimulatedClock(name, rates));
  const regulators = application.regulators.map((name) => new SimulatedRegulator(name, levels));
  const resets = application.resets.map((name) => new SimulatedReset(name));
  // One channel for each protocol in use; each channel is a session of the agent.
  const used = (
    [
      ['clock', clocks],
      ['voltage', regulators],
      ['reset', resets],
    ] as const
  ).flatMap(([protocol, domains]) => (domains.length > 0 ? [protocol] : []));
  const channels = Object.fromEntries(used.map((protocol, channel) => [protocol, channel]));
  const platform = { clocks, regulators, resets };
  const code = computing(scmiPta(platform, { channels: Math.max(2, used.length) }), application.compute, processors);
  const all = [...clocks, ...regulators];

  const request = async (agent: ScmiAgent, command: string): Promise<void> => {
    if (command === versionCommand) return void (await agent.base.version());
    for (const [names, protocol, commands] of [
      [application.clocks, agent.clocks, clockCommands],
      [application.regulators, agent.voltages, regulatorCommands],
      [application.resets, agent.resets, resetCommands],
    ] as const) {
      const id = names.findIndex(
        (name) => command.startsWith(`${name}-`) && Object.hasOwn(commands, command.slice(name.length + 1)),
      );
      if (id < 0) continue;
      const what = command.slice((names[id] ?? '').length + 1);
      const ask = (commands as Readonly<Record<string, (of: typeof protocol, id: number) => Promise<unknown>>>)[what];
      await ask?.(protocol, id);
      return;
    }
  };

  return {
    uuid: code.uuid,
    code,
    powered: (names) => all.every(({ name, enabled }) => enabled || !names.includes(name)),
    commandNumber: () => ScmiPtaCommand.processMsgChannel,
    commandTitle: (command, { transport }) => `${command} by ${ptaCommand[transport]}`,
    async open(context, { system, transport }) {
      if (!(context instanceof KernelContext)) throw badParameters('an SCMI agent outside the kernel');
      const agent = await ScmiAgent.openOn(context, { system, transport, channels });
      const granted = [...agent.channels.values()].filter((channel) => channel.system).length;
      return {
        systemSessions: { asked: system ? agent.channels.size : 0, granted },
        async invoke(command) {
          try {
            await request(agent, command);
          } catch (error) {
            if (!(error instanceof ScmiError)) throw error;
            throw commsError(TeeResult.ERROR_COMMUNICATION, error.message);
          }
        },
        close: () => agent[Symbol.asyncDispose](),
      };
    },
  };
}

/** PTA_SCMI_CMD_*: the command that carries a message. */
const ptaCommand: Readonly<Record<ScenarioClient['transport'], string>> = {
  msg: 'PROCESS_MSG_CHANNEL',
  smt: 'PROCESS_SMT_CHANNEL_MESSAGE',
};
