import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { writeWholeSync } from '../files/write-whole.js';
import { AbsentFilesError } from './absent-files.js';
import type { Archive, ArchivePackage } from './archive.js';
import { type ListedFile, listedFiles, type Stanza, stanzas } from './control-file.js';
import { unpackXz } from './deb-file.js';
import type { SignedSource } from './debian-source.js';
import { AbsentError, getFile } from './get-file.js';
import { described, matching, newestOf } from './package-index.js';
import { type ReleaseFile, releaseFile } from './release-file.js';

/**
 * A suite without apt, with the same checks: gpgv verifies the signature of the release file, which contains the hash
 * of the index, which contains the hashes of the packages.
 */
export class HttpArchive implements Archive {
  private constructor(
    private readonly uri: string,
    private readonly where: string,
    private readonly packages: ReadonlyMap<string, Stanza>,
  ) {}

  /** @throws Error saying what could not be downloaded or verified. */
  static async open(
    { uri, keyring }: SignedSource,
    suite: string,
    architecture: string,
    kind: 'deb' | 'deb-src',
  ): Promise<HttpArchive> {
    const folder = `${uri}/dists/${suite}`;
    const release = await releaseFile(await getFile(`${folder}/InRelease`), suite, keyring);
    const name = kind === 'deb' ? `main/binary-${architecture}/Packages` : 'main/source/Sources';
    const packages = newestOf(stanzas(await index(folder, release, name)));
    return new HttpArchive(uri, `${suite} (${kind === 'deb' ? architecture : 'source'})`, packages);
  }

  async describe(names: readonly string[]): Promise<ArchivePackage[]> {
    return described(names, this.packages, this.where);
  }

  async search(pattern: RegExp): Promise<string[]> {
    return matching([...this.packages.keys()], pattern);
  }

  async download(names: readonly string[], into: string): Promise<string[]> {
    const paths: string[] = [];
    for (const name of names) {
      const stanza = this.packages.get(name);
      const path = stanza?.get('filename') ?? '';
      const file = { name: path, sha256: stanza?.get('sha256') ?? '', size: Number(stanza?.get('size')) };
      paths.push(await this.store(file, path, into));
    }
    return paths;
  }

  async downloadSource(name: string, into: string): Promise<string> {
    const stanza = this.packages.get(name);
    if (stanza === undefined) throw new Error(`Debian ${this.where} has no package ${name}`);
    const folder = stanza.get('directory') ?? '';
    let description: string | undefined;
    const absent: string[] = [];
    for (const file of listedFiles(stanza.get('checksums-sha256') ?? '')) {
      const path = `${folder}/${file.name}`;
      const stored = await this.store(file, path, into).catch((error: unknown) => {
        if (!(error instanceof AbsentError)) throw error;
        absent.push(error.url);
        return '';
      });
      if (stored.endsWith('.dsc')) description = stored;
    }
    if (absent.length > 0) throw new AbsentFilesError(`the source package ${name} of ${this.where}`, absent);
    if (description === undefined) throw new Error(`the source package ${name} has no .dsc`);
    return description;
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  private async store(file: ListedFile, path: string, into: string): Promise<string> {
    const target = join(into, basename(path));
    writeWholeSync(target, checked(await getFile(`${this.uri}/${path}`), file));
    return target;
  }
}

async function index(folder: string, release: ReleaseFile, name: string): Promise<string> {
  for (const form of ['xz', 'gz'] as const) {
    const file = release.files.find((each) => each.name === `${name}.${form}`);
    if (file === undefined) continue;
    const path = release.byHash ? `${name.slice(0, name.lastIndexOf('/'))}/by-hash/SHA256/${file.sha256}` : file.name;
    const packed = checked(await getFile(`${folder}/${path}`), file);
    const text = form === 'xz' ? await unpackXz(packed) : await promisify(gunzip)(packed);
    return new TextDecoder().decode(text);
  }
  throw new Error(`the archive has no index ${name} (.xz or .gz) in ${folder}`);
}

/** @throws Error if the content does not have the size and hash in the signed index. */
function checked(bytes: Uint8Array, { name, size, sha256 }: ListedFile): Uint8Array {
  const hash = createHash('sha256').update(bytes).digest('hex');
  if (bytes.length === size && hash === sha256) return bytes;
  throw new Error(
    `${name} is not the file that the archive signed: ${bytes.length} bytes with SHA-256 ${hash}, ` +
      `signed are ${size} with ${sha256}. The mirror may be updating: try again later, or use another mirror`,
  );
}
