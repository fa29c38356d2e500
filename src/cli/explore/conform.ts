import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { type Difference, replayTrace } from '../../conform/replay-trace.js';
import { disciplineOf, parseTraceFile, TraceFileError } from '../../conform/trace-file.js';
import { readText } from '../../files/read-text.js';
import { badUsage } from '../output/exit-code.js';

export function addConformCommand(program: Command): void {
  program
    .command('conform')
    .summary('replay call-queue traces and compare every result and state')
    .description(
      'Replays trace files (format optee-cq-trace/1) against the discipline named in each, compares every result ' +
        'and every state, and reports the first difference. A directory stands for the .json files below it.',
    )
    .argument('<file...>', 'trace files, or directories of them')
    .option('--quiet', 'print only files that differ or cannot be read, and the summary')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Exit codes:
  0  every file conforms
  1  a file differs
  2  bad usage, no file, or a file that cannot be read or is not a schedule

Examples:
  $ normalworld conform found/patch-v6-lostWakeUp.json
  $ normalworld conform found --quiet
  $ normalworld conform found --json | jq '.files[] | select(.outcome != "conform")'`,
    )
    .action(async (paths: string[], { quiet, json }: { quiet?: boolean; json?: boolean }) => {
      const totals = { conform: 0, differ: 0, unreadable: 0 };
      const files: FileOutcome[] = [];
      for (const path of paths) {
        for await (const found of conform(path)) {
          totals[found.outcome]++;
          if (json) files.push(found);
          else if (found.outcome !== 'conform') console.error(`${found.file}: ${found.line}`);
          else if (!quiet) console.log(`${found.file}: ${found.line}`);
        }
      }
      console.log(
        json
          ? JSON.stringify({ ...totals, files }, null, 2)
          : `${totals.conform} conform, ${totals.differ} differ, ${totals.unreadable} unreadable`,
      );
      if (totals.unreadable > 0) process.exitCode = badUsage;
      else if (totals.differ > 0) process.exitCode = 1;
    });
}

interface FileOutcome {
  readonly file: string;
  readonly outcome: 'conform' | 'differ' | 'unreadable';
  readonly line: string;
}

async function* conform(path: string): AsyncGenerator<FileOutcome> {
  let files: string[];
  try {
    files = await traceFiles(path);
  } catch (error) {
    yield { file: path, outcome: 'unreadable', line: message(error) };
    return;
  }
  if (files.length === 0) yield { file: path, outcome: 'unreadable', line: 'no .json file below this directory' };
  for (const file of files) yield conformFile(file, await readText(file).catch((error: Error) => error));
}

function conformFile(file: string, text: string | Error): FileOutcome {
  if (text instanceof Error) return { file, outcome: 'unreadable', line: text.message };
  try {
    const trace = parseTraceFile(text);
    const difference = replayTrace(trace);
    if (difference !== undefined) return { file, outcome: 'differ', line: describeDifference(difference) };
    return { file, outcome: 'conform', line: `conforms (${disciplineOf(trace.variant)}, ${trace.steps.length} steps)` };
  } catch (error) {
    if (error instanceof TraceFileError) return { file, outcome: 'unreadable', line: error.message };
    throw error;
  }
}

async function traceFiles(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const entries = await readdir(path, { recursive: true });
  return entries
    .filter((entry) => entry.endsWith('.json'))
    .sort()
    .map((entry) => join(path, entry));
}

export function describeDifference({ at, field, expected, actual }: Difference): string {
  const where = typeof at === 'number' ? `step ${at}` : at;
  return `differs at ${where}, ${field}: expected ${show(expected)}, actual ${show(actual)}`;
}

/** Number of characters of a value that are printed. */
const longestValue = 200;

function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length > longestValue ? `${text.slice(0, longestValue)}... (${text.length} characters)` : text;
}

const message = (error: unknown) => (error instanceof Error ? error.message : String(error));
