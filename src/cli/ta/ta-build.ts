import { join, relative, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { readRegularFile } from '../../files/read-regular-file.js';
import { type BuiltTa, buildTa } from '../../ta/build-ta.js';
import { findKit } from '../../ta/find-kit.js';
import { parseMakeVariable } from '../../ta/make-variable.js';
import { forgetRemovedTas } from '../../ta/object-folders.js';
import { signingKey } from '../../ta/signing-keys.js';
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
    .option('--optee <name>', 'build with the kit of this OP-TEE (optee list) instead of the fetched one')
    .option('--key <file>', "the private key for signing, PEM (default: the kit's, which Debian's OP-TEE accepts)")
    .option('--set <variable>', 'a make variable, such as CFG_TEE_TA_LOG_LEVEL=4; may be repeated', makeVariables)
    .option('--into <folder>', 'folder to build in (default: build, next to package.json)');
}

function makeVariables(text: string, others: readonly string[] = []): readonly string[] {
  try {
    return [...others, parseMakeVariable(text)];
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** `normalworld ta build`. */
export function addTaBuildCommand(ta: Command): void {
  const command = ta
    .command('build')
    .summary('build and sign the trusted applications of a project')
    .description(
      "Builds the trusted applications in a folder with the TA dev kit's makefiles, and signs them. build/ta then has " +
        '<uuid>.ta and, for the debugger, <uuid>.elf; build/compile_commands.json is for clangd.',
    )
    .argument('[folder]', 'folder with the sources, whose Makefile includes ta_dev_kit.mk, or a parent folder', '.');
  addTaBuildOptions(command)
    .addHelpText(
      'after',
      `
Environment:
  TA_DEV_KIT_DIR  another TA dev kit
  CROSS_COMPILE   another compiler

Exit codes:
  0  done
  1  the build failed, or a tool for it is missing
  2  bad usage

Examples:
  $ normalworld ta build
  $ normalworld ta build --key my-key.pem --set CFG_TEE_TA_LOG_LEVEL=1 adder/ta`,
    )
    .action(async (folder: string, options: TaBuildOptions) => {
      try {
        const applications = await findTaSources(folder);
        await forgetRemoved(projectRoot(resolve(folder)), options);
        for (const sources of applications) await buildOne(sources, options);
      } catch (failure) {
        tellFailure(failure);
      }
    });
}

const intoFolder = (root: string, { into }: TaBuildOptions) => resolve(into ?? join(root, 'build'));

/** Remove what was built from sources that no longer exist. @returns the UUIDs. */
export async function forgetRemoved(root: string, options: TaBuildOptions): Promise<readonly string[]> {
  const removed = await forgetRemovedTas(intoFolder(root, options));
  for (const { name, uuid } of removed) console.log(`${name}: its sources no longer exist; ${uuid}.ta is removed too`);
  return removed.map(({ uuid }) => uuid);
}

export async function buildOne(sources: TaSources, options: TaBuildOptions): Promise<BuiltTa> {
  if (options.key !== undefined) await signingKey(options.key);
  const started = performance.now();
  const built = await buildTa(sources, {
    kit: await findKit(options.optee),
    into: intoFolder(projectRoot(sources.folder), options),
    key: options.key === undefined ? undefined : resolve(options.key),
    variables: options.set ?? [],
    say: (line) => console.error(line),
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const image = relative('.', built.image);
  console.log(`${built.name}: ${image}, ${built.changed ? `built in ${seconds} s` : 'unchanged'}`);
  const head = taElf(await readRegularFile(built.elf))?.head;
  if (built.changed && head !== undefined && isKeptAlive(head.flags))
    console.log(
      `${built.name}: its instance stays loaded without sessions (INSTANCE_KEEP_ALIVE). An open TEE that has used it keeps using the ` +
        'old code until it is closed; a newly opened TEE uses the new code',
    );
  return built;
}
