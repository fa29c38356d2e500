import type { Command } from 'commander';
import { maxThreads } from '../../trace/event.js';
import { boardVerdict } from '../../trace/linux/board-verdict.js';
import { importLinuxTrace, type LinuxImport } from '../../trace/linux/import-linux.js';
import { MemoryRecorder } from '../../trace/nwt/memory-recorder.js';
import { readTrace } from '../../trace/nwt/trace-table.js';
import { Timeline } from '../../trace/timeline/timeline.js';
import { hangReport } from '../../trace/waits/hang-report.js';
import { badUsage } from '../output/exit-code.js';
import { OutputOption } from '../output/output-option.js';
import { outputWidth, printReport } from '../output/print-report.js';
import { OutputError, refuseInputAsOutput, writeOrSayWhy } from '../output/write-output.js';
import { RecordTextError, readRecordLines } from './record-text.js';
import { boardVerdictText, clockOf, hangText } from './trace-report.js';

interface ImportOptions {
  readonly out?: string;
  readonly scenario?: string;
  readonly threads?: string;
  readonly json?: boolean;
}

export function addImportCommand(trace: Command): void {
  trace
    .command('import')
    .summary("read Linux's OP-TEE tracepoints from a real board, and explain the hang")
    .description(
      "Reads records of Linux's tracepoints optee_invoke_fn_begin and optee_invoke_fn_end, as printed by the kernel's trace file, " +
        'trace-cmd report, perf script, perf trace, SysRq-z or ftrace_dump_on_oops, with any prefix of a serial line or a logger, ' +
        'plain or gzip; and stacks of tasks (hung-task reports, SysRq-w, /proc/PID/stack, crash, gdb, ps) in the same ' +
        'file or another, or alone. Gives a verdict: deadlocked, exhausted, starved or finished, with the calls involved and the time since. --out writes a ' +
        'trace for `view` and `export`, --scenario a scenario that reproduces it.',
    )
    .argument('<file...>', 'texts with the tracepoints, and with stacks; - for standard input')
    .addOption(new OutputOption('-o, --out <file.nwt>', 'write the trace'))
    .addOption(new OutputOption('-s, --scenario <file.yaml>', 'write a scenario that reproduces it, for `run`'))
    .option(
      '--threads <number>',
      'thread contexts of this OP-TEE (CFG_NUM_THREADS); default: as many as the record shows',
    )
    .option('--json', 'print one JSON object; times in milliseconds')
    .addHelpText(
      'after',
      `
Exit codes:
  0  the record was read, regardless of the verdict
  2  bad usage, a file that cannot be read or written, or no line of it can be used

On the board:
  # echo 1 > /sys/kernel/tracing/events/optee/enable
  # ... let it hang ...
  # cat /sys/kernel/tracing/trace > hang.txt
  # echo w > /proc/sysrq-trigger; dmesg > stacks.txt

Examples:
  $ normalworld trace import hang.txt stacks.txt
  $ normalworld trace import stacks.txt
  $ normalworld trace import hang.txt stacks.txt --scenario hang.yaml && normalworld run hang.yaml
  $ trace-cmd report | normalworld trace import - --out hang.nwt && normalworld view hang.nwt`,
    )
    .action(importCommand);
}

async function importCommand(paths: string[], options: ImportOptions): Promise<void> {
  const { out, scenario, json } = options;
  const threads = options.threads === undefined ? undefined : Number(options.threads);
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= maxThreads)) {
    console.error(`error: --threads ${options.threads}: allowed is a whole number from 1 to ${maxThreads}`);
    process.exitCode = badUsage;
    return;
  }
  const lines: string[] = [];
  try {
    for (const path of [out, scenario]) if (path !== undefined) refuseInputAsOutput(path, paths);
    for (const path of paths) {
      const text = await readRecordLines(path);
      for (const line of text.lines) lines.push(line);
      if (text.torn !== undefined) console.error(`${path}: ${text.torn}: what follows is missing`);
    }
  } catch (error) {
    if (!(error instanceof RecordTextError) && !(error instanceof OutputError)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = badUsage;
    return;
  }
  const recorder = new MemoryRecorder({ maxBytes: Number.POSITIVE_INFINITY });
  const found = importLinuxTrace(lines, recorder, threads === undefined ? {} : { threads });
  const name = paths.join(', ');
  sayWhatWasRefused(name, found);
  if (found.lines === 0 && found.stacks === 0) {
    for (const note of found.notes) console.error(`${name}: ${note}`);
    console.error(
      found.refusedCount === 0
        ? `error: ${name}: it has no line of the tracepoints optee_invoke_fn_begin and optee_invoke_fn_end, and no stack of a task\n` +
            'How to record them: normalworld trace import --help'
        : `error: ${name}: none of its lines can be used`,
    );
    process.exitCode = badUsage;
    return;
  }
  const table = readTrace(recorder.toBytes());
  const timeline = new Timeline(table);
  const verdict = boardVerdict(timeline);
  if (scenario !== undefined && timeline.callCount === 0) {
    console.error(`error: ${name}: no call of OP-TEE is in it, so there is nothing to reproduce: --scenario`);
    process.exitCode = badUsage;
    return;
  }
  const report = hangReport(timeline);
  const { exhausted: _, ...told } = verdict;
  recorder.describe({ ...table.subject, verdict: told });
  if (out !== undefined && !writeOrSayWhy(out, paths, [recorder.toBytes()])) return;
  if (scenario !== undefined) {
    // Loaded only if asked for: it loads everything that runs a scenario.
    const { writeRecordedScenario } = await import('./write-recorded-scenario.js');
    if (!(await writeRecordedScenario(scenario, paths, timeline, verdict))) return;
  }
  if (json) console.log(JSON.stringify({ verdict, ...report, ...found }, null, 2));
  else
    printReport(
      `${boardVerdictText(verdict, found)}\n\n${hangText(report, outputWidth(), clockOf(timeline), verdict)}`,
    );
}

function sayWhatWasRefused(name: string, { refused, refusedCount }: LinuxImport): void {
  for (const { line, why } of refused) console.error(`${name}:${line}: ${why}`);
  if (refusedCount > refused.length)
    console.error(`${name}: ${refusedCount - refused.length} more lines could not be used`);
}
