import { type Command, Option } from 'commander';
import type { KnownFinding } from '../../fuzz/engine/findings.js';
import { Fuzzer } from '../../fuzz/engine/fuzzer.js';
import type { FuzzProgress } from '../../fuzz/engine/progress.js';
import { progressLine } from '../../fuzz/engine/progress.js';
import { inThisProcess, type TargetName, takesUuid, targetNamed, targetNames } from '../../fuzz/open-target.js';
import { readKnownCommands } from '../../fuzz/targets/known-commands.js';
import { integerArgument } from '../open/integer-argument.js';
import { tellFailure } from '../output/failure.js';
import { type OpteeToFuzz, opteeToFuzz, opteeUnderTest, refuseOptee } from './optee-to-fuzz.js';

interface FuzzFlags extends OpteeToFuzz {
  readonly folder?: string;
  readonly seed: number;
  readonly seconds?: number;
  readonly execs?: number;
  readonly commands?: string;
  readonly blind?: boolean;
  readonly simulated?: boolean;
  readonly first?: boolean;
  readonly json?: boolean;
}

/** `normalworld fuzz TARGET [UUID]`. */
export function addFuzzCommand(program: Command): void {
  const command = program
    .command('fuzz')
    .summary('search for defects of OP-TEE, of trusted applications and of the driver, guided by coverage')
    .description(
      'Executes inputs on a target: sequences of typed operations, mutated according to the protocol, and kept ' +
        'if they run new code. Each distinct violation becomes a finding: minimised, in its own folder, ' +
        'with a file that `normalworld replay` executes again. SIGINT ends a run; the next one with the same folder continues.',
    )
    .argument('<target>', Object.keys(targetNames).join(', '))
    .argument('[uuid]', 'of the application, for targets that test one')
    .option('--folder <folder>', 'folder for findings and corpus (default: fuzz-TARGET in the working folder)')
    .addOption(
      new Option('--seed <n>', 'seed for all random choices').argParser(integerArgument(0, 0xffff_ffff)).default(1),
    )
    .addOption(new Option('--seconds <n>', 'end after this time').argParser(integerArgument(1, 10_000_000)))
    .addOption(
      new Option('--execs <n>', 'end after this number of executions').argParser(
        integerArgument(1, Number.MAX_SAFE_INTEGER),
      ),
    )
    .option('--commands <file>', "description of an application's commands (YAML, see docs/fuzzing.md)")
    .option('--first', 'end at the first finding')
    .option('--simulated', 'smc, message: on the simulated secure world, not on OP-TEE')
    .option('--blind', 'mutate only the initial inputs, without coverage feedback: for comparison')
    .option('--json', 'print one JSON object at the end');
  opteeToFuzz(command)
    .addHelpText(
      'after',
      `
Targets:
${Object.entries(targetNames)
  .map(([name, what]) => `  ${name.padEnd(10)}${what}`)
  .join('\n')}

Exit codes:
  0  nothing was found
  1  something was found, or the target could not be started
  2  bad usage

Examples:
  $ normalworld fuzz ta e6a33ed4-562b-463a-bb7e-ff5e15a493c8 --seconds 60
  $ normalworld fuzz pta d96a5b40-c3e5-21e3-8794-1002a5d5c61b --execs 10000 --seed 7
  $ normalworld replay fuzz-ta/findings/core-panic-12345678/finding.json`,
    )
    .action(async (name: string, uuid: string | undefined, flags: FuzzFlags, self: Command) => {
      if (!Object.hasOwn(targetNames, name))
        self.error(`error: there is no target "${name}"; allowed: ${Object.keys(targetNames).join(', ')}`);
      await fuzz(name as TargetName, uuid, flags).catch((error: unknown) => tellFailure(error));
    });
}

async function fuzz(name: TargetName, uuid: string | undefined, flags: FuzzFlags): Promise<void> {
  if (flags.commands !== undefined && !takesUuid(name))
    throw new RangeError(`--commands is for targets that test an application, not for ${name}`);
  if (inThisProcess.has(name)) refuseOptee(flags, `target ${name} does not use one`);
  if (flags.simulated) refuseOptee(flags, '--simulated uses the simulated secure world');
  const commands = flags.commands === undefined ? [] : await readKnownCommands(flags.commands);
  const target = targetNamed(name, uuid, {
    optee: await opteeUnderTest(flags),
    commands,
    simulated: flags.simulated === true,
  });
  const interrupt = new AbortController();
  const onInterrupt = () => interrupt.abort();
  process.once('SIGINT', onInterrupt);
  process.once('SIGTERM', onInterrupt);
  const fresh: KnownFinding[] = [];
  try {
    const fuzzer = new Fuzzer(target, {
      folder: flags.folder ?? `fuzz-${name}`,
      seed: flags.seed,
      signal: interrupt.signal,
      blind: flags.blind === true,
      ...(flags.seconds === undefined ? {} : { ms: flags.seconds * 1000 }),
      ...(flags.execs === undefined ? {} : { executions: flags.execs }),
      onProgress: showProgress,
      onFinding: (finding, { what }) => {
        fresh.push(finding);
        if (flags.first) interrupt.abort();
        clearLine();
        if (!flags.json) console.log(`${finding.kind}: ${what}\n  ${finding.folder}`);
      },
    });
    const progress = await fuzzer.run();
    clearLine();
    if (flags.json)
      console.log(JSON.stringify({ target: name, uuid: uuid ?? null, ...progress, findings: fuzzer.knownFindings }));
    else console.log(progressLine(progress));
    if (fresh.length > 0) process.exitCode = 1;
  } finally {
    process.removeListener('SIGINT', onInterrupt);
    process.removeListener('SIGTERM', onInterrupt);
  }
}

function showProgress(progress: FuzzProgress): void {
  clearLine();
  process.stderr.write(process.stderr.isTTY ? progressLine(progress) : `${progressLine(progress)}\n`);
}

function clearLine(): void {
  if (process.stderr.isTTY) process.stderr.write('\x1b[2K\r');
}
