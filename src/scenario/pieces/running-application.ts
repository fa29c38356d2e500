import type { Context, KernelContext } from '../../client/context.js';
import type { TrustedApplication } from '../../worlds/simulated/index.js';
import type { ScenarioClient } from '../scenario.js';
import type { CommandTitle, Port } from './port.js';

/** A scenario's application in the simulated world, and what its commands are numbered. */
export interface RunningApplication {
  readonly uuid: string;
  /** None when it is in every simulated world. */
  readonly code: TrustedApplication | undefined;
  commandNumber(command: string): number;
  /** The name of the command when left out. */
  readonly commandTitle?: CommandTitle;
  /** An SCMI service has all of these clocks and regulators on. */
  powered?(names: readonly string[]): boolean;
  /** What one more client of it needs. */
  open(context: Context | KernelContext, client: ScenarioClient): Promise<Port>;
}
