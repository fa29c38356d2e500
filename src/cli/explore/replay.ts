import type { Command } from 'commander';
import { replayTrace } from '../../conform/replay-trace.js';
import { modelConfig, parseTraceFile, TraceFileError } from '../../conform/trace-file.js';
import { scheduleLegend, scheduleTable } from '../../explore/queue/describe-schedule.js';
import { PROPERTIES } from '../../explore/queue/properties/properties.js';
import { runSchedule } from '../../explore/queue/search/counterexample.js';
import { readText, TextFileError } from '../../files/read-text.js';
import { FileLengthError } from '../../files/read-whole.js';
import { FindingFileError, isFindingText } from '../../fuzz/engine/finding-file.js';
import { type OpteeToFuzz, opteeToFuzz, refuseOptee } from '../fuzz/optee-to-fuzz.js';
import { replayFindingFile } from '../fuzz/replay-finding.js';
import { tellFailure } from '../output/failure.js';
import { outputWidth, printReport } from '../output/print-report.js';
import { describeDifference } from './conform.js';

export function addReplayCommand(program: Command): void {
  const command = program
    .command('replay')
    .summary('run a recorded schedule of the call queue, or a finding of the fuzzer, again')
    .description(
      'Runs the schedule of a trace file (format optee-cq-trace/1, as `explore --traces` writes it) on the discipline ' +
        'named in it, and shows each step, the queue after it, and the properties broken at the end. Or executes a finding of ' +
        '`normalworld fuzz` (finding.json) again, on a fresh target, and shows the result.',
    )
    .argument('<file>', 'the trace file, or the finding')
    .option('--json', 'print one JSON object');
  opteeToFuzz(command)
    .addHelpText(
      'after',
      `
Exit codes:
  0  the schedule ran as recorded, even if it breaks properties; the finding occurred again
  1  the discipline differs from the file; the finding did not occur
  2  bad usage, or a file that is neither a schedule nor a finding

Examples:
  $ normalworld explore --queue patch-v6 --threads 2 --reservations 1 --callers N,S,S --traces found
  $ normalworld replay found/patch-v6-lostWakeUp.json
  $ normalworld replay found/patch-v6-lostWakeUp.json --json | jq .broken
  $ normalworld replay fuzz-ta/findings/core-panic-92665fd8/finding.json`,
    )
    .action(async (file: string, options: OpteeToFuzz & { readonly json?: boolean }, command: Command) => {
      const { json } = options;
      try {
        const text = await readText(file);
        if (isFindingText(text)) {
          await replayFindingFile(text, options).catch((error: unknown) => {
            if (error instanceof FindingFileError) throw error;
            // Of the target: a UUID that is none, an OP-TEE that does not boot.
            tellFailure(error);
          });
          return;
        }
        refuseOptee(options, `${file} is a schedule of a call queue`);
        const trace = parseTraceFile(text);
        const difference = replayTrace(trace);
        if (difference !== undefined) {
          console.error(`${file}: ${describeDifference(difference)}`);
          process.exitCode = 1;
          return;
        }
        const config = modelConfig(trace);
        const { steps, brokenAtEnd: broken } = runSchedule(
          config,
          trace.steps.map(({ actor }) => actor),
        );
        if (json) {
          console.log(JSON.stringify({ queue: config.discipline, note: trace.note ?? null, steps, broken }));
          return;
        }
        const table = scheduleTable(config, steps, outputWidth());
        printReport([
          ...(trace.note === undefined ? [] : [trace.note]),
          ...table,
          ...scheduleLegend(table),
          ...broken.map((name) => `${name}: ${PROPERTIES[name]}`),
          ...(broken.length === 0 ? ['The last step and the state after it break no property.'] : []),
        ]);
      } catch (error) {
        if (
          error instanceof FindingFileError ||
          error instanceof TraceFileError ||
          error instanceof TextFileError ||
          error instanceof FileLengthError ||
          (error instanceof Error && 'code' in error && 'syscall' in error)
        ) {
          command.error(`${file}: ${error.message}`);
        }
        tellFailure(error);
      }
    });
}
