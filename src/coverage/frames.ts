import { execFileSync } from 'node:child_process';

const programs = ['aarch64-linux-gnu-addr2line', 'addr2line'];

/**
 * The functions at addresses of an ELF file: outermost first; more than one if calls were inlined. Addresses without a
 * name are left out.
 */
export function functionsAt(elf: string, addresses: readonly number[]): ReadonlyMap<number, readonly string[]> {
  const found = new Map<number, string[]>();
  if (addresses.length === 0) return found;
  const input = `${addresses.map((address) => `0x${address.toString(16)}`).join('\n')}\n`;
  for (const program of programs) {
    let said: string;
    try {
      said = execFileSync(program, ['-a', '-f', '-i', '-C', '-e', elf], {
        ...{ input, encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['pipe', 'pipe', 'ignore'] },
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw error;
    }
    let names: string[] = [];
    // The output has the address, then two lines per function, name and place, innermost first.
    let isName = true;
    for (const line of said.split('\n')) {
      if (/^0x[0-9a-f]{16}$/.test(line)) {
        names = [];
        found.set(Number(line), names);
        isName = true;
        continue;
      }
      if (isName && line !== '' && line !== '??') names.unshift(line);
      isName = !isName;
    }
    for (const [address, functions] of found) if (functions.length === 0) found.delete(address);
    return found;
  }
  throw new Error('addr2line is missing: apt-get install binutils-aarch64-linux-gnu');
}
