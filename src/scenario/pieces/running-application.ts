import type { Context, KernelContext } from '../../client/context.js';
import type { TrustedApplication } from '../../worlds/simulated/index.js';
import type { ScenarioClient } from '../scenario.js';
import type { CommandTitle, Port } from './port.js';

/** An application of a scenario in the simulated world, and the numbers of its commands. */
export interface RunningApplication {
  readonly uuid: string;
  /** Undefined for an application that every simulated world has. */
  readonly code: TrustedApplication | undefined;
  commandNumber(command: string): number;
  /** Default: the name of the command. */
  readonly commandTitle?: CommandTitle;
  /** Whether the SCMI service has all of these clocks and regulators switched on. */
  powered?(names: readonly string[]): boolean;
  /** Open the sessions and memory of a further client. */
  open(context: Context | KernelContext, client: ScenarioClient): Promise<Port>;
}
