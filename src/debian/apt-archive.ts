import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeFolderSync } from '../files/make-folder.js';
import { writeWholeSync } from '../files/write-whole.js';
import { AbsentFilesError, absentFiles } from './absent-files.js';
import type { Archive, ArchivePackage } from './archive.js';
import { stanzas } from './control-file.js';
import type { SignedSource } from './debian-source.js';
import { described, matching, newestOf } from './package-index.js';

const run = promisify(execFile);

/** A suite through apt, with its own state in a temporary folder. It needs no privileges. */
export class AptArchive implements Archive {
  private constructor(
    private readonly state: string,
    private readonly options: readonly string[],
    private readonly suite: string,
    private readonly architecture: string,
  ) {}

  /** @throws Error with apt's message. */
  static async open(
    { uri, keyring }: SignedSource,
    suite: string,
    architecture: string,
    kind: 'deb' | 'deb-src',
  ): Promise<AptArchive> {
    const state = await mkdtemp(join(tmpdir(), 'normalworld-apt-'));
    const parts = join(state, 'sources.d');
    for (const folder of ['lists/partial', 'cache/archives/partial', 'sources.d', 'empty.d'])
      makeFolderSync(join(state, folder));
    writeWholeSync(join(state, 'status'), '');
    writeWholeSync(
      join(parts, 'normalworld.sources'),
      `Types: ${kind}\nURIs: ${uri}\nSuites: ${suite}\nComponents: main\nSigned-By: ${keyring}\n`,
    );
    const options = [
      `Dir::State=${state}`,
      `Dir::State::lists=${join(state, 'lists')}`,
      `Dir::State::status=${join(state, 'status')}`,
      `Dir::Cache=${join(state, 'cache')}`,
      'Dir::Etc::sourcelist=/dev/null',
      `Dir::Etc::sourceparts=${parts}`,
      // Ignore the machine's own preferences.
      'Dir::Etc::preferences=/dev/null',
      `Dir::Etc::preferencesparts=${join(state, 'empty.d')}`,
      `APT::Architecture=${architecture}`,
      `APT::Architectures::=${architecture}`,
      // apt's sandbox user could not write to our folder.
      'APT::Sandbox::User=root',
    ].flatMap((option) => ['-o', option]);
    const apt = new AptArchive(state, options, suite, architecture);
    try {
      await apt.run(state, 'apt-get', '--quiet', '--error-on=any', 'update');
      return apt;
    } catch (error) {
      await apt[Symbol.asyncDispose]();
      throw error;
    }
  }

  async describe(names: readonly string[]): Promise<ArchivePackage[]> {
    const said = await this.run(this.state, 'apt-cache', 'show', ...names).catch(() => '');
    return described(names, newestOf(stanzas(said)), `${this.suite} (${this.architecture})`);
  }

  async search(pattern: RegExp): Promise<string[]> {
    const names = (await this.run(this.state, 'apt-cache', 'pkgnames')).split('\n');
    return matching(names, pattern);
  }

  async download(names: readonly string[], into: string): Promise<string[]> {
    const files = new Set(await readdir(into));
    const paths: string[] = [];
    for (const name of names) {
      await this.run(into, 'apt-get', '--quiet', 'download', name);
      const [file] = (await readdir(into)).filter((each) => each.endsWith('.deb') && !files.has(each));
      if (file === undefined) throw new Error(`apt-get download ${name} left no file`);
      files.add(file);
      paths.push(join(into, file));
    }
    return paths;
  }

  async downloadSource(name: string, into: string): Promise<string> {
    await this.run(into, 'apt-get', '--quiet', '--download-only', 'source', name).catch((error: unknown) => {
      const urls = absentFiles(error instanceof Error ? error.message : '');
      throw urls.length === 0
        ? error
        : new AbsentFilesError(`the source package ${name} of ${this.suite}`, urls, error);
    });
    const description = (await readdir(into)).find((file) => file.endsWith('.dsc'));
    if (description === undefined) throw new Error(`apt-get source ${name} left no .dsc`);
    return join(into, description);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.state, { recursive: true, force: true });
  }

  private async run(folder: string, program: 'apt-get' | 'apt-cache', ...args: string[]): Promise<string> {
    const { stdout } = await run(program, [...this.options, ...args], {
      cwd: folder,
      maxBuffer: 1 << 26,
      env: { ...process.env, LC_ALL: 'C' },
    }).catch((error: Error & { readonly stderr?: string }) => {
      // apt's own messages are more useful than the command line.
      const said = (error.stderr ?? '').split('\n').filter((line) => /^[EW]: /.test(line));
      throw said.length === 0 ? error : new Error(`${program}: ${said.join('\n')}`, { cause: error });
    });
    return stdout;
  }
}
