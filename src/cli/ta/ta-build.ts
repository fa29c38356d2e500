import { readFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { type BuiltTa, buildTa } from '../../ta/build-ta.js';
import { findKit } from '../../ta/find-kit.js';
import { parseMakeVariable } from '../../ta/make-variable.js';
import { isKeptAlive, taElf } from '../../ta/ta-elf.js';
import { findTaSources, projectRoot, type TaSources } from '../../ta/ta-sources.js';
import { tellFailure } from '../output/failure.js';

export interface TaBuildOptions {
  readonly optee?: string;
  readonly key?: string;
  readonly set?: readonly string[];
  readonly into?: string;
}

export function addTaBuildOptions(command: Command): Command {
  return command
    .option('--optee <name>', 'build with the kit of this OP-TEE (optee list) instead of that of the fetched one')
    .option('--key <file>', "the private key that signs, PEM (default: the kit's, which Debian's OP-TEE takes)")
    .option(
      '--set <variable>',
      'a variable of make, as CFG_TEE_TA_LOG_LEVEL=4; may be repeated',
      (text: string, others: readonly string[] = []) => [...others, parseMakeVariable(text)],
    )
    .option('--into <folder>', 'where to build (default: build, beside package.json)');
}

/** `normalworld ta build`. */
export function addTaBuildCommand(ta: Command): void {
  const command = ta
    .command('build')
    .summary('build and sign the trusted applications of a project')
    .description(
      "Builds the trusted applications in a folder with the TA dev kit's makefiles, and signs them. build/ta then holds " +
        '<uuid>.ta and, for the debugger, <uuid>.elf; build/compile_commands.json is what clangd reads.',
    )
    .argument('[folder]', 'with the sources, or above them', '.');
  addTaBuildOptions(command)
    .addHelpText(
      'after',
      `
A trusted application is a folder whose Makefile includes ta_dev_kit.mk. TA_DEV_KIT_DIR in the environment names another
kit, CROSS_COMPILE another compiler.

Exit codes:
  0  done
  1  what was to be built could not be, or something is missing for it
  2  bad usage

Examples:
  $ normalworld ta build
  $ normalworld ta build --key my-key.pem --set CFG_TEE_TA_LOG_LEVEL=1 adder/ta`,
    )
    .action(async (folder: string, options: TaBuildOptions) => {
      try {
        for (const sources of await findTaSources(folder)) await buildOne(sources, options);
      } catch (failure) {
        tellFailure(failure);
      }
    });
}

export async function buildOne(sources: TaSources, options: TaBuildOptions): Promise<BuiltTa> {
  const started = performance.now();
  const built = await buildTa(sources, {
    kit: await findKit(options.optee),
    into: resolve(options.into ?? join(projectRoot(sources.folder), 'build')),
    key: options.key === undefined ? undefined : resolve(options.key),
    variables: options.set ?? [],
    say: (line) => console.error(line),
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const image = relative('.', built.image);
  console.log(`${built.name}: ${image}, ${built.changed ? `built in ${seconds} s` : 'as it was'}`);
  const head = taElf(await readFile(built.elf))?.head;
  if (built.changed && head !== undefined && isKeptAlive(head.flags))
    console.log(
      `${built.name}: its instance stays without sessions (INSTANCE_KEEP_ALIVE). A TEE that is open and has used it goes on with the ` +
        'old code until it is closed; one that is opened now has the new',
    );
  return built;
}
