import { KernelContext } from '../../client/context.js';
import { ScmiPtaCommand } from '../../protocol/pta-scmi.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { ScmiAgent, ScmiError } from '../../scmi/index.js';
import { badParameters, commsError } from '../../tee/teec-error.js';
import { SimulatedClock, SimulatedRegulator, scmiPta } from '../../worlds/simulated/index.js';
import type { ScenarioClient, ShippedApplication } from '../scenario.js';
import type { RunningApplication } from './running-application.js';
import { computing } from './shipped-applications.js';

/** What each clock of a scenario runs at, in hertz, and what its regulators can give, in microvolts. */
const rates = [52_000_000];
const levels = { min: 1_800_000, max: 3_300_000, step: 100_000 };

/** What clients of an SCMI service can ask for: each clock and regulator on, and off. */
export function scmiCommands({ clocks, regulators }: Pick<ShippedApplication, 'clocks' | 'regulators'>): string[] {
  return [...clocks, ...regulators].flatMap((name) => [`${name}-on`, `${name}-off`]);
}

/** An SCMI service in the simulated OP-TEE with its clocks and regulators. Each of its clients is an agent. */
export function scmiService(application: ShippedApplication): RunningApplication {
  const clocks = application.clocks.map((name) => new SimulatedClock(name, rates));
  const regulators = application.regulators.map((name) => new SimulatedRegulator(name, levels));
  const code = computing(scmiPta({ clocks, regulators }, { channels: 2 }), application.compute);
  // A channel for each protocol in use, and each a session of the agent's.
  const channels = clocks.length > 0 && regulators.length > 0 ? { clock: 0, voltage: 1 } : {};
  const all = [...clocks, ...regulators];

  const request = (agent: ScmiAgent, command: string): Promise<void> => {
    const [, name = '', state] = /^(.*)-(on|off)$/.exec(command) ?? [];
    const clock = application.clocks.indexOf(name);
    const protocol = clock < 0 ? agent.voltages : agent.clocks;
    const index = clock < 0 ? application.regulators.indexOf(name) : clock;
    return state === 'on' ? protocol.enable(index) : protocol.disable(index);
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

/** PTA_SCMI_CMD_*: what carries a message. */
const ptaCommand: Readonly<Record<ScenarioClient['transport'], string>> = {
  msg: 'PROCESS_MSG_CHANNEL',
  smt: 'PROCESS_SMT_CHANNEL_MESSAGE',
};
