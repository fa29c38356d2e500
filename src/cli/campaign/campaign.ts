import { availableParallelism } from 'node:os';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type JobResult, ofKind, sumOf } from '../../campaign/job-result.js';
import { runHere } from '../../campaign/local-campaign.js';
import { readPlan } from '../../campaign/plan.js';
import type { CampaignServer } from '../../campaign/queue/campaign-server.js';
import { readWhole } from '../../files/read-whole.js';
import { parseFinding } from '../../fuzz/engine/finding-file.js';
import { tellFailure } from '../output/failure.js';

interface CampaignFlags {
  readonly redis?: string;
  readonly redisFile?: string;
  readonly jobs: number;
  readonly name?: string;
  readonly json?: boolean;
  readonly qemu?: readonly string[];
}

/** `normalworld campaign start|work|status|results`. */
export function addCampaignCommand(program: Command): void {
  const campaign = program
    .command('campaign')
    .summary('fuzz, explore and test by a plan: on this machine, or on many over Valkey or Redis')
    .description(
      'A plan lists jobs: fuzz targets and scenarios with seeds, tables of queues, the behaviour suite. Without --redis, its jobs run here. With it, they wait in a queue (BullMQ) on a ' +
        'Valkey or Redis server, and workers on any machine take them.',
    );
  const start = campaign
    .command('start')
    .summary("put a plan's jobs into the queue, or run them here")
    .argument('<plan>', 'YAML, see docs/fuzzing.md')
    .addOption(jobsOption())
    .addOption(qemuOption());
  server(start)
    .addHelpText(
      'after',
      ending(
        'nothing was found, or with --redis: the jobs are queued',
        'something was found, a job failed, or the server cannot be reached',
        ['start plan.yaml --jobs 2', 'start plan.yaml --redis-file url'],
        'bad usage, or a file that cannot be read or is not a plan',
      ),
    )
    .action((path: string, flags: CampaignFlags) => tell(() => startPlan(path, flags)));
  const work = campaign
    .command('work')
    .summary('take jobs until there are none left')
    .addOption(jobsOption())
    .addOption(qemuOption());
  server(named(work))
    .addHelpText(
      'after',
      ending('no job is left', 'the server cannot be reached', ['work --redis-file url --name driver']),
    )
    .action((flags: CampaignFlags) => tell(() => workOn(flags)));
  const status = campaign.command('status').summary('print the progress of a campaign');
  server(named(status))
    .addHelpText(
      'after',
      ending('the status was printed', 'the server cannot be reached', ['status --redis-file url --name driver']),
    )
    .action((flags: CampaignFlags) =>
      tell(async () => {
        const status = await onServer(flags, (of) => of.status());
        console.log(
          flags.json
            ? JSON.stringify(status)
            : Object.entries(status)
                .map(([what, count]) => `${count} ${what}`)
                .join(', '),
        );
      }),
    );
  const results = campaign.command('results').summary('print the results of a campaign');
  server(named(results))
    .addHelpText(
      'after',
      ending('nothing was found', 'something was found, a job failed, or the server cannot be reached', [
        'results --redis-file url --name driver',
      ]),
    )
    .action((flags: CampaignFlags) =>
      tell(async () => {
        const { results, findings, failures } = await onServer(flags, (of) => of.results());
        report(results, findings, failures, flags.json === true);
      }),
    );
}

/** The end of a command's help: exit codes and examples. */
function ending(
  zero: string,
  one: string,
  examples: readonly string[],
  two = 'bad usage, or a file that cannot be read',
): string {
  return `
Exit codes:
  0  ${zero}
  1  ${one}
  2  ${two}

Examples:
${examples.map((example) => `  $ normalworld campaign ${example}`).join('\n')}`;
}

async function startPlan(path: string, flags: CampaignFlags): Promise<void> {
  const plan = await readPlan(path);
  const url = await serverUrl(flags);
  if (url !== undefined) {
    await using of = await openServer(url, plan.name);
    await of.reach();
    const waiting = await of.start(plan);
    console.log(flags.json ? JSON.stringify({ name: plan.name, waiting }) : `${plan.name}: ${waiting} jobs wait`);
    return;
  }
  const signal = untilInterrupted();
  const { results, failures } = await runHere(plan, flags.jobs, (result, done) => progress(result, done, flags), {
    signal,
    qemus: flags.qemu,
  });
  const findings = new Map(
    ofKind(results, 'fuzz').flatMap((result) =>
      result.findings.map((text) => [parseFinding(text).signature, text] as const),
    ),
  );
  report(results, [...findings.values()], failures, flags.json === true);
}

async function workOn(flags: CampaignFlags): Promise<void> {
  let done = 0;
  await onServer(flags, (of) =>
    of.work(flags.jobs, untilInterrupted(), (result) => progress(result, ++done, flags), { qemus: flags.qemu }),
  );
}

function progress(result: JobResult, done: number, { json }: CampaignFlags): void {
  if (!json) console.log(`job ${done}: ${inWords(result)}`);
}

function inWords(result: JobResult): string {
  switch (result.kind) {
    case 'fuzz':
      return `${result.executions} executions, ${result.edges} edges, ${result.findings.length} findings`;
    case 'explore':
      return `${result.runs} runs, ${result.breaches.length} properties newly broken`;
    case 'table':
      return `${result.queue}, ${result.states} states, ${result.broken.length} properties broken`;
    case 'suite':
      return `${result.passed} tests passed, ${result.failures.length} failed, ${result.skipped} skipped`;
    default:
      return result satisfies never;
  }
}

function report(
  results: readonly JobResult[],
  findings: readonly string[],
  failures: readonly string[],
  json: boolean,
): void {
  const sum = sumOf(results);
  const found = findings.map(parseFinding);
  if (json) console.log(JSON.stringify({ ...sum, findings: found, failures }));
  else {
    const { jobs, executions, edges, deaths, runs, states, testsPassed, breaches, table, testFailures } = sum;
    const had = (kind: JobResult['kind']) => ofKind(results, kind).length > 0;
    console.log(
      [
        `${jobs} jobs`,
        ...(had('fuzz')
          ? [`${executions} executions, ${edges} edges at most, ${found.length} findings, ${deaths} deaths`]
          : []),
        ...(had('explore') ? [`${runs} runs, ${breaches.length} properties broken`] : []),
        ...(had('table') ? [`${states} states`] : []),
        ...(had('suite') ? [`${testsPassed} tests passed, ${testFailures.length} failed`] : []),
      ].join(', '),
    );
    for (const { kind, signature } of found) console.log(`${kind}: ${signature}`);
    for (const { property, queue, how } of breaches) console.log(`${property}, ${queue}: ${how}`);
    for (const { property, queue, group, broken } of table)
      console.log(`${property}, ${queue}: broken in ${broken} of group ${group}`);
    for (const failure of testFailures) console.log(`failed test: ${failure}`);
    for (const failure of failures) console.log(`failed: ${failure}`);
  }
  // In a table of queues, violated properties are the expected content and not a failure.
  if ([found, sum.breaches, sum.testFailures, failures].some(({ length }) => length > 0)) process.exitCode = 1;
}

/** Other commands do not load the client libraries of the server. */
async function openServer(url: string, name: string): Promise<CampaignServer> {
  const { CampaignServer } = await import('../../campaign/queue/campaign-server.js');
  return new CampaignServer(url, name);
}

async function onServer<T>(flags: CampaignFlags, what: (of: CampaignServer) => Promise<T>): Promise<T> {
  const url = await serverUrl(flags);
  if (url === undefined || flags.name === undefined)
    throw new RangeError('give --redis URL and --name NAME of the campaign');
  await using of = await openServer(url, flags.name);
  await of.reach();
  return await what(of);
}

/** In octets. */
const longestUrl = 65_536;

/** Command lines are visible to all users of the machine, so the URL can also be in a file. */
async function serverUrl({ redis, redisFile }: CampaignFlags): Promise<string | undefined> {
  if (redisFile === undefined) return redis;
  const text = await readWhole(redisFile, longestUrl).catch((error: Error) => {
    throw new RangeError(error.message, { cause: error });
  });
  return text.toString('utf8').trim();
}

function untilInterrupted(): AbortSignal {
  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort());
  process.once('SIGTERM', () => interrupt.abort());
  return interrupt.signal;
}

async function tell(work: () => Promise<void>): Promise<void> {
  await work().catch((error: unknown) => tellFailure(error));
}

function server(command: Command): Command {
  return command
    .option('--redis <url>', 'the server: redis://, or rediss:// with TLS; it may contain user and password')
    .option('--redis-file <file>', 'the same, from a file that others cannot read')
    .option('--json', 'print JSON');
}

function named(command: Command): Command {
  return command.option('--name <name>', "the campaign's name, as in its plan");
}

function jobsOption(): Option {
  return new Option('-j, --jobs <n>', 'jobs at a time (default: one per processor)')
    .argParser((text) => {
      if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('a whole number from 1 to 9999');
      return Number(text);
    })
    .default(availableParallelism(), 'one per processor');
}

function qemuOption(): Option {
  return new Option(
    '--qemu <program>',
    "a QEMU of this machine's, for jobs that want its version; may be repeated (default: qemu-system-aarch64)",
  ).argParser((program: string, before: readonly string[] = []) => [...before, program]);
}
