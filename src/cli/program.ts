import { Command } from 'commander';
import { packageVersion } from '../package-version.js';
import { letColoursPass } from './output/guard-output.js';
import { refuseInputsAsOutputs } from './output/output-option.js';

type AddCommand = (program: Command) => void;

/** Every command, in the order of the help. Each is loaded when it is needed: loading all takes most of a second. */
const commands: Readonly<Record<string, () => Promise<AddCommand>>> = {
  run: async () => (await import('./run/run.js')).addRunCommand,
  explore: async () => (await import('./explore/explore.js')).addExploreCommand,
  fuzz: async () => (await import('./fuzz/fuzz.js')).addFuzzCommand,
  campaign: async () => (await import('./campaign/campaign.js')).addCampaignCommand,
  replay: async () => (await import('./explore/replay.js')).addReplayCommand,
  view: async () => (await import('./trace/view.js')).addViewCommand,
  trace: async () => (await import('./trace/trace.js')).addTraceCommand,
  top: async () => (await import('./trace/top.js')).addTopCommand,
  conform: async () => (await import('./explore/conform.js')).addConformCommand,
  optee: async () => (await import('./optee/optee.js')).addOpteeCommand,
  ta: async () => (await import('./ta/ta.js')).addTaCommands,
  serve: async () => (await import('./serve/serve.js')).addServeCommand,
  exec: async () => (await import('./serve/exec.js')).addExecCommand,
  preload: async () => (await import('./serve/preload.js')).addPreloadCommand,
  supplicant: async () => (await import('./serve/supplicant.js')).addSupplicantCommand,
  xtest: async () => (await import('./serve/xtest.js')).addXtestCommand,
  doctor: async () => (await import('./doctor.js')).addDoctorCommand,
  completion: async () => (await import('./completion.js')).addCompletionCommand,
};

/** Lists the other commands. */
const needsAll = 'completion';

/** Commands with coloured reports. */
const coloured: ReadonlySet<string> = new Set(['run', 'explore', 'replay']);

/**
 * The command with its subcommands. Invalid arguments throw a CommanderError.
 *
 * @param first the first argument: if it is the name of a command, only this one is loaded.
 */
export async function normalworldProgram(first?: string): Promise<Command> {
  const program = new Command('normalworld')
    .description('The OP-TEE driver of Linux in TypeScript')
    .version(packageVersion, '-V, --version', 'the version of this package')
    .exitOverride()
    // `--version` behind a command is an option of that command.
    .enablePositionalOptions()
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
  const alone =
    first !== undefined && first !== needsAll && Object.hasOwn(commands, first) ? commands[first] : undefined;
  for (const load of alone === undefined ? Object.values(commands) : [alone]) (await load())(program);
  return program;
}
