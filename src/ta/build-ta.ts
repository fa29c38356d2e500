import { cp, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolderSync } from '../files/make-folder.js';
import { readRegularFile, readRegularText } from '../files/read-regular-file.js';
import { writeWholeSync } from '../files/write-whole.js';
import { type OptionNames, requireKnownOptions } from '../known-options.js';
import { startProcess } from '../processes/start-process.js';
import { forgetOtherUuids, imageFolder, imagesIn, objectFolder, prepareObjects } from './object-folders.js';
import type { TaSources } from './ta-sources.js';
import { findTaTools } from './ta-tools.js';

/** Options of `buildTa`. */
export interface BuildTaOptions {
  /** The folder of the TA dev kit. */
  readonly kit: string;
  /** The output folder; its subfolder `ta` gets `<uuid>.ta` and `<uuid>.elf` of each TA. */
  readonly into: string;
  /** The private key for signing. Default: the kit's own. */
  readonly key?: string | undefined;
  /** Further make variables, such as CFG_TEE_TA_LOG_LEVEL=4. */
  readonly variables?: readonly string[];
  /** Called with each line of make's output. */
  readonly say?: (line: string) => void;
}

const names: OptionNames<BuildTaOptions> = { kit: true, into: true, key: true, variables: true, say: true };

/** A built trusted application. */
export interface BuiltTa {
  readonly name: string;
  readonly uuid: string;
  /** `<uuid>.ta` */
  readonly image: string;
  /** `<uuid>.elf`, with symbols. */
  readonly elf: string;
  /** Whether the image differs from the one before. */
  readonly changed: boolean;
}

/**
 * Build a trusted application with the kit's makefiles, and sign it.
 * @throws Error with the output of the compiler or of make.
 */
export async function buildTa(sources: TaSources, options: BuildTaOptions): Promise<BuiltTa> {
  requireKnownOptions('buildTa', options, names);
  const { kit, into, key, variables = [], say } = options;
  const tools = await findTaTools();
  const objects = objectFolder(into, sources);
  await prepareObjects(objects, { sources: sources.folder, kit, key, variables });
  const teller = join(objects, 'tell-uuid.mk');
  writeWholeSync(teller, `$(info ${uuidMark}$(BINARY))\n`);
  const lines = await make(
    sources,
    [
      ...['-f', 'Makefile', '-f', teller],
      ...[`TA_DEV_KIT_DIR=${kit}`, `O=${objects}`, `CROSS_COMPILE=${tools.crossCompile}`, `PYTHON3=${tools.python}`],
      ...(key === undefined ? [] : [`TA_SIGN_KEY=${key}`]),
      ...['V=1', ...variables],
    ],
    say,
  );
  await mergeCompileCommands(into, sources.folder, lines);
  const uuid = await builtUuid(objects, lines);
  if (uuid === undefined)
    throw new Error(`make in ${sources.folder} left no <uuid>.ta in ${objects}: is BINARY in its Makefile a UUID?`);
  await forgetOtherUuids(into, objects, uuid);
  const image = `${uuid}.ta`;
  const folder = imageFolder(into);
  makeFolderSync(folder);
  const changed = await replace(join(objects, image), join(folder, image));
  await replace(join(objects, `${uuid}.elf`), join(folder, `${uuid}.elf`));
  return { name: sources.name, uuid, image: join(folder, image), elf: join(folder, `${uuid}.elf`), changed };
}

/** Before the value of BINARY, in the output of make. */
const uuidMark = 'normalworld: BINARY is ';

/** The UUID that the makefile names. Images with other UUIDs may be left from before it was changed. */
async function builtUuid(objects: string, lines: readonly string[]): Promise<string | undefined> {
  const images = await imagesIn(objects);
  const named = lines.findLast((line) => line.startsWith(uuidMark))?.slice(uuidMark.length);
  // A makefile may give BINARY to another make.
  return named === undefined || named === '' ? images[0] : images.find((uuid) => uuid === named);
}

/** Replace a file atomically, so that a TEE that loads it at the same time gets the old or the new image. */
async function replace(from: string, to: string): Promise<boolean> {
  const [now, before] = await Promise.all([readRegularFile(from), readRegularFile(to).catch(() => undefined)]);
  if (before !== undefined && now.equals(before)) return false;
  const work = `${to}.new`;
  await cp(from, work);
  await rename(work, to);
  return true;
}

function make(sources: TaSources, args: readonly string[], say: ((line: string) => void) | undefined) {
  return new Promise<string[]>((resolve, reject) => {
    // Variables of an outer make do not apply to this one.
    const { MAKEFLAGS: _flags, MFLAGS: _mflags, MAKELEVEL: _level, ...env } = process.env;
    const child = startProcess('make', ['-C', sources.folder, '--no-print-directory', '-j4', ...args], {
      env: { ...env, LC_ALL: 'C.UTF-8' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [output, errors] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      // Also show the warnings of a successful build.
      if (code === 0 && errors.trim() !== '') say?.(errors.trimEnd());
      if (code === 0) resolve(output.split('\n'));
      else
        reject(
          new Error(
            `${sources.name} could not be built:\n${errors.trim() || output.trim().split('\n').slice(-25).join('\n')}`,
          ),
        );
    });
  });
}

interface CompileCommand {
  readonly directory: string;
  readonly file: string;
  readonly arguments: readonly string[];
}

/**
 * Write compile_commands.json for clangd. make prints only the files that it compiles; the entries of other files are
 * kept.
 */
async function mergeCompileCommands(into: string, directory: string, lines: readonly string[]): Promise<void> {
  const path = join(into, 'compile_commands.json');
  const known = new Map<string, CompileCommand>();
  const old: unknown = JSON.parse(await readRegularText(path).catch(() => '[]'));
  for (const each of old as readonly CompileCommand[]) known.set(`${each.directory} ${each.file}`, each);
  const before = known.size;
  let found = 0;
  for (const line of lines) {
    const words = shellWords(line);
    const file = words.find((word) => /\.(?:c|cpp|S)$/.test(word));
    if (file === undefined || !words.includes('-c') || !/(?:gcc|g\+\+|clang)$/.test(words[0] ?? '')) continue;
    known.set(`${directory} ${file}`, { directory, file, arguments: words });
    found++;
  }
  if (found === 0 && before > 0) return;
  writeWholeSync(path, `${JSON.stringify([...known.values()], null, 2)}\n`);
}

/** Split a command line into words like a shell, without expansion of variables and substitutions. */
export function shellWords(line: string): string[] {
  const words: string[] = [];
  for (const [piece] of line.matchAll(/(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+/g))
    words.push(
      piece.replace(
        /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/g,
        (_all, single?: string, double?: string, bare?: string) =>
          single ?? double?.replace(/\\(["\\$`])/g, '$1') ?? bare ?? '',
      ),
    );
  return words;
}
