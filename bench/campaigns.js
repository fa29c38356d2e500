/**
 * `npm run bench:campaigns -- [--json] [--jobs N] [--executions N]`: the same campaign of fuzzing jobs (target driver)
 * with 1, 2 and 4 workers on this machine, through a server that is started for it. Measured are jobs and executions
 * per second, and the octets per job that pass through the server. From the octets per job follows the load that many
 * workers put on one server (docs/fuzzing.md). Needs valkey-server or redis-server.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean' },
    jobs: { type: 'string', default: '24' },
    executions: { type: 'string', default: '500' },
  },
});
const [jobs, executions] = [Number(values.jobs), Number(values.executions)];
if (!(jobs >= 1 && executions >= 1)) {
  console.error('usage: npm run bench:campaigns -- [--json] [--jobs N] [--executions N]');
  process.exit(2);
}
const program = ['valkey-server', 'redis-server'].find((name) => spawnSync(name, ['--version']).status === 0);
if (program === undefined) throw new Error('no valkey-server and no redis-server: apt-get install redis-server');
const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'normalworld-bench-campaigns-'));
const plan = join(scratch, 'plan.yaml');
writeFileSync(
  plan,
  `name: bench\njobs: [{ kind: fuzz, target: driver, seeds: 1..${jobs}, executions: ${executions} }]\n`,
);

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function withWorkers(count) {
  const port = await freePort();
  const server = spawn(program, ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', scratch], {
    stdio: 'ignore',
  });
  const url = `redis://127.0.0.1:${port}`;
  const redis = new Redis(url, { maxRetriesPerRequest: null });
  redis.on('error', () => undefined);
  const campaign = async (...args) => {
    const child = spawn(process.execPath, [main, 'campaign', ...args, '--redis', url], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    await once(child, 'close');
    return said;
  };
  const stats = async () => {
    const text = await redis.info('stats');
    const field = (name) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(text)?.[1]);
    return ['total_net_input_bytes', 'total_net_output_bytes', 'total_commands_processed'].map(field);
  };
  try {
    await campaign('start', plan);
    const before = await stats();
    const begun = performance.now();
    await Promise.all(Array.from({ length: count }, () => campaign('work', '--name', 'bench', '--jobs', '1')));
    const seconds = (performance.now() - begun) / 1000;
    const [received, sent, commands] = (await stats()).map((after, index) => after - before[index]);
    const results = JSON.parse(await campaign('results', '--name', 'bench', '--json'));
    if (results.jobs !== jobs) throw new Error(`${results.jobs} of ${jobs} jobs are done`);
    return {
      ...{ workers: count, seconds, jobsPerSecond: jobs / seconds, executionsPerSecond: results.executions / seconds },
      ...{ receivedPerJob: received / jobs, sentPerJob: sent / jobs, commandsPerJob: commands / jobs },
    };
  } finally {
    redis.disconnect();
    server.kill();
    await once(server, 'close');
  }
}

try {
  const rows = [];
  for (const count of [1, 2, 4]) rows.push(await withWorkers(count));
  if (values.json) console.log(JSON.stringify(rows));
  else {
    console.log(
      '| workers | jobs a second | executions a second | KiB to the server, a job | KiB from it | commands |',
    );
    console.log('| --- | --- | --- | --- | --- | --- |');
    for (const row of rows) {
      const cells = [row.jobsPerSecond.toFixed(2), Math.round(row.executionsPerSecond)];
      const octets = [row.receivedPerJob, row.sentPerJob].map((each) => (each / 1024).toFixed(1));
      console.log(`| ${[row.workers, ...cells, ...octets, Math.round(row.commandsPerJob)].join(' | ')} |`);
    }
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
