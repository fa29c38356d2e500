import { type Command, Option } from 'commander';
import { badUsage } from './exit-code.js';
import { OutputError, refuseInputAsOutput, refuseSameOutput } from './write-output.js';

/** An option whose value is the path of a file that the command writes. */
export class OutputOption extends Option {}

/**
 * Before anything is done, refuse to write to a file that is also read, or to one that is written twice, because its
 * content would be lost. All other arguments that name a file count as read.
 */
export function refuseInputsAsOutputs(command: Command): void {
  const outputs: { readonly flag: string; readonly path: string }[] = [];
  const inputs: string[] = [...command.args];
  for (const option of command.options) {
    const given: unknown = command.getOptionValue(option.attributeName());
    const texts = [given].flat().filter((text): text is string => typeof text === 'string');
    if (option instanceof OutputOption) outputs.push(...texts.map((path) => ({ flag: option.long ?? '', path })));
    else inputs.push(...texts);
  }
  try {
    outputs.forEach(({ flag, path }, index) => {
      refuseInputAsOutput(path, inputs);
      for (const other of outputs.slice(0, index)) refuseSameOutput(path, flag, other.path, other.flag);
    });
  } catch (error) {
    if (!(error instanceof OutputError)) throw error;
    command.error(`error: ${error.message}`, { exitCode: badUsage });
  }
}
