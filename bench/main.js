/**
 * `npm run bench [-- --json]`: the speed of the call queue, of a call from client to trusted application, of many
 * sessions, and of the explorer on this machine. Compare only figures of one run, because the speed of machines drifts.
 */
import { benchFfa } from './ffa.js';
import { benchInvoke } from './invoke.js';
import { benchQueue } from './queue.js';
import { benchReserve } from './reserve.js';
import { benchScmi } from './scmi.js';
import { benchSessions } from './sessions.js';
import { benchSharedMemory } from './shared-memory.js';
import { benchExplore } from './spin.js';
import { benchTrace } from './trace.js';

const json = process.argv.includes('--json');
const say = (text) => {
  if (!json) console.log(text);
};
const table = (rows) => {
  if (!json) console.table(rows);
};

say('The call queue alone, 64 callers on 4 threads');
const queue = await benchQueue();
table(queue.contention);
say('One call while others wait in the queue');
table(queue.waiting);

say('From client to trusted application and back, one value parameter, one core, simulated world');
const invoke = await benchInvoke({ progress: process.stderr.isTTY && !json });
table([invoke]);

say('The same call over FF-A and over raw SMCs');
const ffa = await benchFfa();
table([ffa]);

say('An SCMI clock request beside 64 bulk clients, 4 threads, virtual time');
const scmi = await benchScmi();
table(scmi);

say(
  'Calls per second of 8 clients without and with a thread kept for relief calls, and a cancellation beside them, virtual time',
);
const reserve = await benchReserve();
table(reserve);

say('Invoking one of many open sessions');
const sessions = await benchSessions();
table(sessions.lookup);

say('A call that refers to 1 MiB of the client, in processor time');
const sharedMemory = await benchSharedMemory();
table(sharedMemory);

say('The trace: invokes per second without and with a recorder');
const trace = await benchTrace();
table(trace);

say('Every state of a call queue on one core, against SPIN');
const [explore, exploreSmall] = [await benchExplore('large'), await benchExplore('small')];
table([explore, exploreSmall]);

if (json)
  console.log(
    JSON.stringify({ explore, exploreSmall, queue, invoke, sessions, trace, ffa, scmi, reserve, sharedMemory }),
  );
