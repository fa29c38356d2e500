import { once } from 'node:events';
import type { Command } from 'commander';
import { linePieces } from '../../files/line-pieces.js';
import { framesText } from '../../protocol/panic-text.js';
import { DumpReader } from '../../symbolize/dump-reader.js';
import { ElfFolders } from '../../symbolize/elf-folder.js';
import { tellFailure } from '../output/failure.js';

interface SymbolizeOptions {
  readonly taElf?: readonly string[];
  readonly coreElf?: string;
}

/** `normalworld optee symbolize`. */
export function addSymbolizeCommand(optee: Command): void {
  optee
    .command('symbolize')
    .summary('name functions and lines in the dumps of a console')
    .description(
      'Copies a console of OP-TEE from standard input to standard output, and adds function, file and line to each entry of a ' +
        'call stack, of applications and of the core. Lines may have any prefix.',
    )
    .option(
      '--ta-elf <folder>',
      'folder with unstripped ELFs, <uuid>.elf; may be repeated (default: build/ta)',
      (folder: string, others: readonly string[] = []) => [...others, folder],
    )
    .option('--core-elf <file>', "OP-TEE's own ELF, tee.elf of its build")
    .addHelpText(
      'after',
      `
Lines come from aarch64-linux-gnu-addr2line (package binutils-aarch64-linux-gnu); without it, only functions are named.

Exit codes:
  0  done
  1  there was no call stack in the text
  2  bad usage

Examples:
  $ normalworld optee symbolize < console.log
  $ normalworld optee symbolize --ta-elf out/ta --core-elf out/core/tee.elf < console.log`,
    )
    .action(async (options: SymbolizeOptions) => {
      try {
        const elves = new ElfFolders(options.taElf ?? ['build/ta'], options.coreElf);
        const reader = new DumpReader();
        let entries = 0;
        const write = async (text: string) => {
          if (!process.stdout.write(text)) await once(process.stdout, 'drain');
        };
        // Where an abort happened that was reported without a call stack.
        const tellFault = async () => {
          for (const place of reader.takeWithoutStack()?.callStack ?? []) {
            const frames = elves.framesAt(place);
            entries++;
            if (frames.length > 0)
              await write(`normalworld: pc 0x${place.address.toString(16)} ${framesText(frames)}\n`);
          }
        };
        for await (const { text, begins, ending } of linePieces(process.stdin)) {
          const place = begins ? reader.read(text) : undefined;
          await tellFault();
          if (place !== undefined) entries++;
          const frames = place === undefined ? [] : elves.framesAt(place);
          const named = frames.length === 0 ? text : `${text.trimEnd()} ${framesText(frames)}`;
          await write(named + ending);
        }
        reader.end();
        await tellFault();
        if (entries > 0) return;
        console.error('normalworld: the input has no call stack');
        process.exitCode = 1;
      } catch (failure) {
        tellFailure(failure);
      }
    });
}
