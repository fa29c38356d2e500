import { Command } from 'commander';
import { packageVersion } from '../package-version.js';
import { addCampaignCommand } from './campaign/campaign.js';
import { addCompletionCommand } from './completion.js';
import { addDoctorCommand } from './doctor.js';
import { addConformCommand } from './explore/conform.js';
import { addExploreCommand } from './explore/explore.js';
import { addReplayCommand } from './explore/replay.js';
import { addFuzzCommand } from './fuzz/fuzz.js';
import { addOpteeCommand } from './optee/optee.js';
import { letColoursPass } from './output/guard-output.js';
import { refuseInputsAsOutputs } from './output/output-option.js';
import { addRunCommand } from './run/run.js';
import { addExecCommand } from './serve/exec.js';
import { addPreloadCommand } from './serve/preload.js';
import { addServeCommand } from './serve/serve.js';
import { addSupplicantCommand } from './serve/supplicant.js';
import { addXtestCommand } from './serve/xtest.js';
import { addTaCommands } from './ta/ta.js';
import { addTopCommand } from './trace/top.js';
import { addTraceCommand } from './trace/trace.js';
import { addViewCommand } from './trace/view.js';

/** Commands with coloured reports. */
const coloured: ReadonlySet<string> = new Set(['run', 'explore', 'replay']);

/** The command with all its subcommands. Invalid arguments throw a CommanderError. */
export function normalworldProgram(): Command {
  const program = new Command('normalworld')
    .description('The OP-TEE driver of Linux in TypeScript')
    .version(packageVersion, '-V, --version', 'the version of this package')
    .exitOverride()
    .hook('preAction', (_program, command) => {
      if (coloured.has(command.name())) letColoursPass();
      refuseInputsAsOutputs(command);
    })
    .showSuggestionAfterError()
    .addHelpText(
      'after',
      `
Exit codes of every command: 0 success, 1 failure or a negative result, 2 bad usage or an invalid file.

Examples:
  $ normalworld run scenarios/rpmb-scmi-deadlock.yaml
  $ normalworld run --help`,
    );
  addRunCommand(program);
  addExploreCommand(program);
  addFuzzCommand(program);
  addCampaignCommand(program);
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
  addSupplicantCommand(program);
  addXtestCommand(program);
  addDoctorCommand(program);
  addCompletionCommand(program);
  return program;
}
