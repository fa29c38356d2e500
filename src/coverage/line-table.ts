import { execFileSync } from 'node:child_process';
import { isAbsolute, resolve } from 'node:path';

/** A line of a source file with an address of its code. */
export interface SourceLine {
  readonly file: string;
  readonly line: number;
  readonly address: number;
}

const prefixes = ['aarch64-linux-gnu-', ''];

/**
 * The source lines with code in an ELF file.
 * @throws Error if binutils are missing.
 */
export function lineTable(elf: string): readonly SourceLine[] {
  const said = binutil('objdump', ['--dwarf=decodedline', elf]);
  const rows: { readonly unit: string; readonly name: string; readonly line: number; readonly address: number }[] = [];
  let unit = '';
  for (const text of said.split('\n')) {
    const heading = /^(?:CU: )?(\S.*):$/.exec(text)?.[1];
    if (heading !== undefined) unit = heading;
    const row = /^(\S.*?)\s+(\d+)\s+(0x[0-9a-f]+)(?:\s+\d+)?\s+x\s*$/.exec(text);
    if (row !== null) rows.push({ unit, name: row[1] ?? '', line: Number(row[2]), address: Number(row[3]) });
  }
  // The table has file names without folders, so look up the full path for one address of each file.
  const samples = new Map(rows.map((row) => [`${row.unit} ${row.name}`, row.address]));
  const paths = new Map<string, string>();
  const keys = [...samples.keys()];
  const places =
    keys.length === 0
      ? []
      : binutil('addr2line', ['-e', elf, ...[...samples.values()].map((address) => `0x${address.toString(16)}`)]).split(
          '\n',
        );
  keys.forEach((key, index) => {
    const path = /^(.*):(?:\d+|\?)/.exec(places[index] ?? '')?.[1];
    if (path !== undefined && isAbsolute(path)) paths.set(key, resolve(path));
  });
  return rows.flatMap(({ unit, name, line, address }) => {
    const file = paths.get(`${unit} ${name}`);
    // If inlining made two files share an address, the path may be that of the other file.
    return file === undefined || !file.endsWith(`/${name}`) ? [] : [{ file, line, address }];
  });
}

function binutil(name: string, args: readonly string[]): string {
  for (const prefix of prefixes)
    try {
      return execFileSync(`${prefix}${name}`, args, {
        encoding: 'utf8',
        maxBuffer: 1 << 28,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  throw new Error(`${prefixes[0]}${name} is missing: apt-get install binutils-aarch64-linux-gnu`);
}
