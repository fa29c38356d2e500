import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { type Command, Option } from 'commander';
import { exportChrome } from '../trace/export/chrome.js';
import { exportPerfetto } from '../trace/export/perfetto.js';
import { hangReport } from '../trace/hang-report.js';
import { importLinuxTrace } from '../trace/import-linux.js';
import { MemoryRecorder } from '../trace/memory-recorder.js';
import { traceStats } from '../trace/stats.js';
import { Timeline } from '../trace/timeline.js';
import { TraceTable } from '../trace/trace-table.js';
import { badUsage, readTraceOrSayWhy } from './read-trace.js';
import { hangText, statsText } from './trace-report.js';
import { OutputError, writeOutput } from './write-output.js';

const exitCodes = `
Exit codes:
  0  done
  2  bad usage, or a file that cannot be read or written`;

export function addTraceCommand(program: Command): void {
  const trace = program
    .command('trace')
    .summary('figures of a trace, export to other viewers, import from a real board')
    .description('Works on traces (.nwt): `run --trace` and the `trace` option of `openTee` record them.');
  trace
    .command('stats')
    .summary('the figures of a trace')
    .description(
      'Prints what a trace holds: calls, latencies, waits, RPCs, threads, who was overtaken, and the deadlock it ends in.',
    )
    .argument('<file>', 'trace (.nwt)')
    .option('--json', 'print one JSON object; times in milliseconds')
    .addHelpText('after', `${exitCodes}\n\nExample:\n  $ normalworld trace stats out.nwt --json | jq .ethreadLimit`)
    .action(async (path: string, { json }: { json?: boolean }) => {
      const table = await readTraceOrSayWhy(path);
      if (table === undefined) return;
      const timeline = new Timeline(table);
      const stats = traceStats(timeline);
      const report = hangReport(timeline);
      console.log(
        json
          ? JSON.stringify({ ...stats, deadlock: report.deadlock }, null, 2)
          : `${statsText(stats)}\n\n${hangText(report)}`,
      );
    });
  trace
    .command('export')
    .summary("convert a trace for Perfetto or Chrome's viewer")
    .description('Writes a trace as Perfetto protobuf (ui.perfetto.dev) or as Chrome JSON (chrome://tracing).')
    .argument('<file>', 'trace (.nwt)')
    .addOption(new Option('-f, --format <name>', 'output format').choices(['perfetto', 'chrome']).default('perfetto'))
    .requiredOption('-o, --out <file>', 'where to write to')
    .addHelpText(
      'after',
      `${exitCodes}

Examples:
  $ normalworld trace export out.nwt --out out.pftrace
  $ normalworld trace export out.nwt --format chrome --out out.json`,
    )
    .action(async (path: string, { format, out }: { format: 'perfetto' | 'chrome'; out: string }) => {
      const table = await readTraceOrSayWhy(path);
      if (table === undefined) return;
      const timeline = new Timeline(table);
      writeOrSayWhy(out, [path], format === 'perfetto' ? exportPerfetto(timeline) : exportChrome(timeline));
    });
  trace
    .command('import')
    .summary("read Linux's OP-TEE tracepoints from a real board, and say who held the threads")
    .description(
      "Reads what Linux's tracepoints optee_invoke_fn_begin and optee_invoke_fn_end recorded, as `trace-cmd report` or " +
        "the kernel's trace file prints it, and reports: which call held a thread when, which RPC it sat in, how often " +
        'ETHREAD_LIMIT came, who starved. With --out it writes a trace for `view` and `export`.',
    )
    .argument('<file>', 'text of trace-cmd report or /sys/kernel/tracing/trace; - for standard input')
    .option('-o, --out <file.nwt>', 'write the trace')
    .option('--json', 'print one JSON object; times in milliseconds')
    .addHelpText(
      'after',
      `${exitCodes}

On the board:
  # echo 1 > /sys/kernel/tracing/events/optee/enable
  # ... let it hang ...
  # cat /sys/kernel/tracing/trace > hang.txt

Examples:
  $ normalworld trace import hang.txt
  $ trace-cmd report | normalworld trace import - --out hang.nwt && normalworld view hang.nwt`,
    )
    .action(importCommand);
}

async function importCommand(path: string, { out, json }: { out?: string; json?: boolean }): Promise<void> {
  const table = new TraceTable();
  const lines: string[] = [];
  try {
    const input = path === '-' ? process.stdin : createReadStream(path);
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) lines.push(line);
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    console.error(error.message);
    process.exitCode = badUsage;
    return;
  }
  const found = importLinuxTrace(lines, table);
  if (found.lines === 0) {
    console.error(`${path}: no line of the tracepoints optee_invoke_fn_begin and optee_invoke_fn_end is in it`);
    for (const { line, why } of found.refused) console.error(`${path}:${line}: ${why}`);
    process.exitCode = badUsage;
    return;
  }
  for (const { line, why } of found.refused) console.error(`${path}:${line}: ${why}`);
  if (found.refusedCount > found.refused.length)
    console.error(`${path}: ${found.refusedCount - found.refused.length} further lines could not be used`);
  const report = hangReport(new Timeline(table));
  if (out !== undefined) {
    const recorder = new MemoryRecorder({ maxBytes: Number.POSITIVE_INFINITY });
    importLinuxTrace(lines, recorder);
    writeOrSayWhy(out, [path], [recorder.toBytes()]);
  }
  console.log(json ? JSON.stringify({ ...report, ...found }, null, 2) : hangText(report));
}

function writeOrSayWhy(out: string, inputs: readonly string[], pieces: Iterable<string | Uint8Array>): void {
  try {
    writeOutput(out, inputs, pieces);
  } catch (error) {
    if (!(error instanceof OutputError)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = badUsage;
  }
}
