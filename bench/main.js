/**
 * `npm run bench [-- --json]`: the speed of the call queue, of a call from client to trusted application, of many
 * sessions, and of the explorer on this machine. Compare only figures of one run, because the speed of machines drifts.
 * Each is measured in a process of its own.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const json = process.argv.includes('--json');
const say = (text) => {
  if (!json) console.log(text);
};
const table = (rows) => {
  if (!json) console.table(rows);
};

/** The result of a function that a module of this folder exports. @throws Error if its process fails. */
function measured(module, name, ...args) {
  const program = fileURLToPath(new URL('one-figure.js', import.meta.url));
  const { status, signal, error, stdout } = spawnSync(
    process.execPath,
    ['--expose-gc', program, module, name, JSON.stringify(args)],
    { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8', maxBuffer: 2 ** 24 },
  );
  if (error !== undefined || status !== 0)
    throw new Error(`${name} of ${module} ended with ${signal ?? `status ${status}`}`, { cause: error });
  return JSON.parse(stdout);
}

say('The call queue alone, 64 callers on 4 threads');
const queue = measured('./queue.js', 'benchQueue');
table(queue.contention);
say('One call while others wait in the queue');
table(queue.waiting);

say('From client to trusted application and back, one value parameter, one core, simulated world');
const invoke = measured('./invoke.js', 'benchInvoke', { progress: process.stderr.isTTY && !json });
table([invoke]);

say('The same call over FF-A and over raw SMCs');
const ffa = measured('./ffa.js', 'benchFfa');
table([ffa]);

say('An SCMI clock request beside 64 bulk clients, 4 threads, virtual time');
const scmi = measured('./scmi.js', 'benchScmi');
table(scmi);

say(
  'Calls per second of 8 clients without and with a thread kept for relief calls, and a cancellation beside them, virtual time',
);
const reserve = measured('./reserve.js', 'benchReserve');
table(reserve);

say('Invoking one of many open sessions');
const sessions = measured('./sessions.js', 'benchSessions');
table(sessions.lookup);

say('A call that refers to 1 MiB of the client, in processor time');
const sharedMemory = measured('./shared-memory.js', 'benchSharedMemory');
table(sharedMemory);

say('The trace: invokes per second without and with a recorder');
const trace = measured('./trace.js', 'benchTrace');
table(trace);

say('Every state of a call queue on one core, against SPIN');
const [explore, exploreSmall] = ['large', 'small'].map((size) => measured('./spin.js', 'benchExplore', size));
table([explore, exploreSmall]);

if (json)
  console.log(
    JSON.stringify({ explore, exploreSmall, queue, invoke, sessions, trace, ffa, scmi, reserve, sharedMemory }),
  );
