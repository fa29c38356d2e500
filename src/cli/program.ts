import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addCompletionCommand } from './completion.js';
import { addConformCommand } from './conform.js';
import { addDoctorCommand } from './doctor.js';
import { addExecCommand } from './exec.js';
import { addExploreCommand } from './explore.js';
import { letColoursPass } from './guard-output.js';
import { addOpteeCommand } from './optee.js';
import { refuseInputsAsOutputs } from './output-option.js';
import { addPreloadCommand } from './preload.js';
import { addReplayCommand } from './replay.js';
import { addRunCommand } from './run/run.js';
import { addServeCommand } from './serve.js';
import { addTaCommands } from './ta.js';
import { addTopCommand } from './top.js';
import { addTraceCommand } from './trace.js';
import { addViewCommand } from './view.js';
import { addXtestCommand } from './xtest.js';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  readonly version: string;
};

/** Commands whose reports have colours on a terminal. */
const coloured: ReadonlySet<string> = new Set(['run', 'explore', 'replay']);

/** The command with everything under it. Whatever is wrong with its arguments throws a CommanderError. */
export function normalworldProgram(): Command {
  const program = new Command('normalworld')
    .description('The OP-TEE driver of Linux in TypeScript')
    .version(version, '-V, --version', 'the version of this package')
    .exitOverride()
    .hook('preAction', (_program, command) => {
      if (coloured.has(command.name())) letColoursPass();
      refuseInputsAsOutputs(command);
    })
    .showSuggestionAfterError()
    .addHelpText(
      'after',
      `
Exit codes of every command: 0 done, 1 the answer is no, 2 bad usage or a file that is not what it should be.

Examples:
  $ normalworld run scenarios/rpmb-scmi-deadlock.yaml
  $ normalworld run --help`,
    );
  addRunCommand(program);
  addExploreCommand(program);
  addReplayCommand(program);
  addViewCommand(program);
  addTraceCommand(program);
  addTopCommand(program);
  addConformCommand(program);
  addOpteeCommand(program);
  addTaCommands(program);
  addServeCommand(program);
  addExecCommand(program);
  addPreloadCommand(program);
  addXtestCommand(program);
  addDoctorCommand(program);
  addCompletionCommand(program);
  return program;
}
