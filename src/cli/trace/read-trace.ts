import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { readTraceFile } from '../../trace/node/trace-file.js';
import { TraceFormatError } from '../../trace/nwt/trace-reader.js';
import type { TraceTable } from '../../trace/nwt/trace-table.js';
import { badUsage } from '../output/exit-code.js';

/** A hint: `run --trace out.nwt` with several disciplines writes out.<discipline>.nwt and no out.nwt. */
function beside(path: string): string {
  const begin = `${basename(path, '.nwt')}.`;
  try {
    if (existsSync(path)) return '';
    const found = readdirSync(dirname(path)).filter((name) => name.startsWith(begin) && name.endsWith('.nwt'));
    return found.length === 0 ? '' : `; existing files: ${found.map((name) => join(dirname(path), name)).join(', ')}`;
  } catch {
    return '';
  }
}

/** A hint for a scenario file: it must be run and recorded first. */
function recordFirst(path: string): string {
  return /\.ya?ml$/.test(path) ? `; to record a scenario: normalworld run ${path} --trace out.nwt` : '';
}

/** Read a trace for a command; damage, or the reason why it cannot be read, is printed on standard error. */
export async function readTraceOrSayWhy(path: string): Promise<TraceTable | undefined> {
  try {
    const table = await readTraceFile(path);
    for (const { offset, what } of table.damage) console.error(`${path}: at byte ${offset}: ${what}`);
    if (table.subject.cutAtBytes !== undefined)
      console.error(`${path}: recording stopped at ${table.subject.cutAtBytes} bytes, its limit`);
    return table;
  } catch (error) {
    if (!(error instanceof TraceFormatError) && !(error instanceof Error && 'syscall' in error)) throw error;
    console.error(
      error instanceof TraceFormatError
        ? `${path}: ${error.message}${recordFirst(path)}`
        : `${error.message}${beside(path)}`,
    );
    process.exitCode = badUsage;
    return undefined;
  }
}
