import { type Command, InvalidArgumentError, Option } from 'commander';
import { buildOptee } from '../../optee-build/build-optee.js';
import {
  type BuildOptions,
  type BuildSuite,
  type BuildVariable,
  buildLimits,
  buildSuites,
  parseBuildVariable,
} from '../../optee-build/build-options.js';
import { integerArgument } from '../open/integer-argument.js';

interface BuildCommandOptions extends BuildOptions {
  readonly jobs?: number;
  readonly again?: boolean;
}

/** Interval of printing progress if the line cannot be overwritten, in milliseconds. */
const progressIntervalMs = 15_000;

/** `normalworld optee build`. */
export function addBuildCommand(optee: Command): void {
  optee
    .command('build')
    .summary("build OP-TEE OS from Debian's source package, with your options")
    .description(
      "Builds OP-TEE OS for this machine from Debian's source package, and stores it next to the fetched one, with the test " +
        'applications of the same suite. An earlier build with the same options is reused. A build takes some minutes, less ' +
        'with ccache.',
    )
    .option('--ffa', 'OP-TEE as its own FF-A partition manager (CFG_CORE_SEL1_SPMC)')
    .option('--rpmb', "also secure storage in RPMB, with OP-TEE's test key (CFG_RPMB_FS)")
    .option('--scmi', 'with the SCMI server: clocks, regulators and a reset (CFG_SCMI_PTA)')
    .addOption(numberOption('--threads <number>', 'thread contexts', 'threads'))
    .addOption(numberOption('--log-level <number>', 'of the secure console', 'logLevel'))
    .addOption(numberOption('--cores <number>', 'maximum number of CPUs', 'cores'))
    .option('--pager', 'with a pageable part (CFG_WITH_PAGER)')
    .option('--no-reserved-shm', 'without reserved shared memory (CFG_CORE_RESERVED_SHM)')
    .option('--no-dynamic-shm', 'without dynamic shared memory (CFG_CORE_DYN_SHM)')
    .option(
      '--profiling',
      'heap statistics, GPROF and FTRACE of applications, and its own TA dev kit (CFG_TA_STATS, CFG_TA_GPROF_SUPPORT, CFG_FTRACE_SUPPORT)',
    )
    .option('--release', 'without assertions, only errors on the console')
    .addOption(
      new Option('--set <CFG_NAME=value>', "a variable of OP-TEE's build; may be repeated, overrides all other options")
        .argParser(addVariable)
        .default([], 'none'),
    )
    .addOption(new Option('--suite <suite>', "Debian's suite").choices(buildSuites).default('sid' satisfies BuildSuite))
    .addOption(
      new Option('--jobs <number>', 'compilers at a time (default: one per processor)').argParser(
        integerArgument(1, 1024),
      ),
    )
    .option('--again', 'build again, from the newest source')
    .addHelpText(
      'after',
      `
Exit codes:
  0  it is built; --optee takes its name
  1  it could not be built; the output says why
  2  bad usage

Examples:
  $ normalworld optee build --ffa
  $ normalworld optee build --rpmb --scmi --threads 4 && normalworld optee info --optee sid-rpmb-scmi-threads4
  $ normalworld optee build --profiling
  $ normalworld optee build --set CFG_CORE_SANITIZE_KADDRESS=y --set CFG_CORE_ASLR=n`,
    )
    .action(async ({ jobs, again, ...options }: BuildCommandOptions) => {
      const line = progressLine();
      try {
        const { name } = await buildOptee(options, { jobs, again }, line);
        line.clear();
        console.log(name);
      } catch (error) {
        line.clear();
        console.error(`normalworld: ${error instanceof Error ? error.message : String(error)}`);
        process.exitCode = 1;
      }
    });
}

function numberOption(flags: string, what: string, key: keyof typeof buildLimits): Option {
  const { variable, low, high } = buildLimits[key];
  return new Option(flags, `${what}, ${low} to ${high} (${variable})`).argParser(integerArgument(low, high));
}

function addVariable(text: string, others: readonly BuildVariable[]): readonly BuildVariable[] {
  try {
    return [...others, parseBuildVariable(text)];
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** Prints progress on standard error: overwritten on a terminal, at an interval elsewhere. */
function progressLine() {
  const { stderr } = process;
  const started = performance.now();
  let last = started;
  const clear = () => {
    if (stderr.isTTY) stderr.write('\r\x1b[K');
  };
  return {
    clear,
    say(step: string) {
      clear();
      stderr.write(`${step}\n`);
    },
    compiled(files: number) {
      const now = performance.now();
      if (!stderr.isTTY && now - last < progressIntervalMs) return;
      last = now;
      clear();
      stderr.write(`compiled ${files} files in ${Math.round((now - started) / 1000)} s${stderr.isTTY ? '' : '\n'}`);
    },
  };
}
