import { type Command, Option } from 'commander';
import { exportChrome } from '../../trace/export/chrome.js';
import { exportPerfetto } from '../../trace/export/perfetto.js';
import { traceStats } from '../../trace/timeline/stats.js';
import { Timeline } from '../../trace/timeline/timeline.js';
import { hangReport } from '../../trace/waits/hang-report.js';
import { OutputOption } from '../output/output-option.js';
import { outputWidth, printReport } from '../output/print-report.js';
import { writeOrSayWhy } from '../output/write-output.js';
import { readTraceOrSayWhy } from './read-trace.js';
import { addImportCommand } from './trace-import.js';
import { clockOf, hangText, statsText } from './trace-report.js';

const exitCodes = `
Exit codes:
  0  done
  2  bad usage, or a file that cannot be read or written`;

export function addTraceCommand(program: Command): void {
  const trace = program
    .command('trace')
    .summary('statistics of a trace, export to other viewers, import from a real board')
    .description('Works on traces (.nwt): `run --trace` and the `trace` option of `openTee` record them.');
  trace
    .command('stats')
    .summary('print statistics of a trace')
    .description(
      'Prints statistics of a trace: calls, latencies, waits, RPCs, threads, overtaken calls, and the deadlock at its end.',
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
      const width = outputWidth();
      if (json) console.log(JSON.stringify({ ...stats, deadlock: report.deadlock }, null, 2));
      else {
        const { verdict } = table.subject;
        printReport(`${statsText(stats, width)}\n\n${hangText(report, width, clockOf(timeline), verdict)}`);
      }
    });
  trace
    .command('export')
    .summary("convert a trace for Perfetto or Chrome's viewer")
    .description('Writes a trace as Perfetto protobuf (ui.perfetto.dev) or as Chrome JSON (chrome://tracing).')
    .argument('<file>', 'trace (.nwt)')
    .addOption(new Option('-f, --format <name>', 'output format').choices(['perfetto', 'chrome']).default('perfetto'))
    .addOption(new OutputOption('-o, --out <file>', 'output file').makeOptionMandatory())
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
  addImportCommand(trace);
}
