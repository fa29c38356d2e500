import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export interface PackageToMake {
  readonly name: string;
  readonly version: string;
  /** Content by path. */
  readonly files: Readonly<Record<string, string>>;
}

/** A small archive in Debian's form, signed with a key of its own, behind a server on loopback. */
export class SignedArchive implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'normalworld-archive-'));
  /** Of the keys that it is signed with. */
  readonly keyring = join(this.root, 'keys.gpg');
  /** Every path that was asked for. */
  readonly asked: string[] = [];
  private readonly home = join(this.root, 'gnupg');
  private server: Server | undefined;

  constructor() {
    mkdirSync(this.home, { mode: 0o700 });
    this.gpg('--quick-gen-key', 'archive@example.org', 'rsa2048', 'sign', 'never');
    this.gpg('--output', this.keyring, '--export');
  }

  get uri(): string {
    const address = this.server?.address() as AddressInfo | undefined;
    return `http://127.0.0.1:${address?.port}/debian`;
  }

  /** The path of a file of the archive. */
  path(name: string): string {
    return join(this.root, 'debian', name);
  }

  async listen(): Promise<void> {
    const server = createServer((request, response) => {
      const url = request.url ?? '';
      this.asked.push(url);
      try {
        response.end(readFileSync(join(this.root, url)));
      } catch {
        response.writeHead(404).end();
      }
    });
    this.server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  }

  /** Make a suite of packages, and sign it. */
  publish(suite: string, packages: readonly PackageToMake[], fields = ''): void {
    const index = packages.map((each) => this.makePackage(each)).join('\n');
    this.put(`dists/${suite}/main/binary-arm64/Packages`, index);
    const packed = execFileSync('xz', ['--stdout', this.path(`dists/${suite}/main/binary-arm64/Packages`)]);
    this.put(`dists/${suite}/main/binary-arm64/Packages.xz`, packed);
    const listed = ['Packages', 'Packages.xz'].map((name) => {
      const file = this.path(`dists/${suite}/main/binary-arm64/${name}`);
      return ` ${sha256(readFileSync(file))} ${statSync(file).size} main/binary-arm64/${name}`;
    });
    this.sign(
      suite,
      `Suite: ${suite}\nCodename: ${suite}\nDate: ${new Date(Date.now() - 60_000).toUTCString()}\n` +
        `Architectures: arm64\nComponents: main\n${fields}SHA256:\n${listed.join('\n')}\n`,
    );
  }

  sign(suite: string, release: string): void {
    this.put(`dists/${suite}/Release`, release);
    const [from, to] = [this.path(`dists/${suite}/Release`), this.path(`dists/${suite}/InRelease`)];
    rmSync(to, { force: true });
    this.gpg('--output', to, '--clearsign', from);
  }

  put(name: string, content: string | Uint8Array): void {
    mkdirSync(dirname(this.path(name)), { recursive: true });
    writeFileSync(this.path(name), content);
  }

  [Symbol.dispose](): void {
    this.server?.close();
    this.server?.closeAllConnections();
    rmSync(this.root, { recursive: true, force: true });
  }

  private makePackage({ name, version, files }: PackageToMake): string {
    const work = join(this.root, 'work', name);
    rmSync(work, { recursive: true, force: true });
    for (const [path, content] of Object.entries({ ...files })) {
      mkdirSync(dirname(join(work, 'data', path)), { recursive: true });
      writeFileSync(join(work, 'data', path), content);
    }
    mkdirSync(join(work, 'control'), { recursive: true });
    writeFileSync(
      join(work, 'control/control'),
      `Package: ${name}\nVersion: ${version}\nArchitecture: arm64\nMaintainer: nobody <n@example.org>\nDescription: a test\n`,
    );
    for (const part of ['data', 'control'])
      execFileSync('tar', ['-cJf', join(work, `${part}.tar.xz`), '-C', join(work, part), '.']);
    writeFileSync(join(work, 'debian-binary'), '2.0\n');
    const file = `pool/main/${name}_${version.replace(':', '%3a')}_arm64.deb`;
    mkdirSync(dirname(this.path(file)), { recursive: true });
    rmSync(this.path(file), { force: true });
    execFileSync('ar', ['qc', this.path(file), 'debian-binary', 'control.tar.xz', 'data.tar.xz'], { cwd: work });
    const deb = readFileSync(this.path(file));
    return (
      `Package: ${name}\nVersion: ${version}\nArchitecture: arm64\nMaintainer: nobody <n@example.org>\n` +
      `Installed-Size: 7\nFilename: ${file}\nSize: ${deb.length}\nSHA256: ${sha256(deb)}\nDescription: a test\n`
    );
  }

  private gpg(...args: string[]): void {
    execFileSync('gpg', ['--batch', '--quiet', '--homedir', this.home, '--passphrase', '', ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
