import { writeWholeSync } from '../files/write-whole.js';
import { warn } from '../warn.js';
import { parseConsoleLine } from '../worlds/qemu/console-line.js';
import type { ElfFolders } from './elf-folder.js';

const loaded = /^ELF \((?<uuid>[0-9a-f-]{36})\) at (?<address>0x[0-9a-f]+)/i;
/** The line in which OP-TEE reports its load address after address space randomisation. */
const core = /^Executing at offset 0x[0-9a-f]+ with virtual load address (?<address>0x[0-9a-f]+)/i;

/**
 * A gdb script that connects to QEMU and loads symbols at the addresses where images were loaded. It is rewritten after
 * each load, because an application gets a new address each time.
 */
export class GdbScript {
  private readonly places = new Map<string, string>();
  private isTold = false;

  /** @throws the system's error, with the path in its message, if the script cannot be written. */
  constructor(
    private readonly path: string,
    private readonly port: number,
    private readonly elves: ElfFolders,
  ) {
    this.write();
  }

  /** Process a line of the secure console. */
  read(text: string): void {
    const message = parseConsoleLine(text).parsed?.message ?? '';
    const found = loaded.exec(message)?.groups;
    const image = found?.uuid?.toLowerCase() ?? (core.test(message) ? 'core' : undefined);
    const address = found?.address ?? core.exec(message)?.groups?.address;
    if (image === undefined || address === undefined) return;
    this.places.set(image, address);
    try {
      this.write();
    } catch (error) {
      // The console goes on without the script.
      if (!this.isTold) warn(`the gdb script is out of date: ${(error as Error).message}`);
      this.isTold = true;
    }
  }

  private write(): void {
    const symbols = [...this.places].map(([image, address]) => {
      const elf = this.elves.elfOf(image);
      return elf === undefined
        ? `# ${image} is at ${address}; its ELF with symbols was not found`
        : `add-symbol-file ${elf} -o ${address}`;
    });
    writeWholeSync(
      this.path,
      [
        '# Written by normalworld at each load of an application: gdb-multiarch -x THIS, or source THIS in gdb.',
        'set confirm off',
        'set pagination off',
        'set architecture aarch64',
        'symbol-file',
        ...symbols,
        `target remote 127.0.0.1:${this.port}`,
        '',
      ].join('\n'),
    );
  }
}
