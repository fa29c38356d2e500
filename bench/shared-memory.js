/**
 * The cost of a call that refers to 1 MiB of the client's memory. Allocated memory is accessed by secure world
 * directly; registered memory is compared before and after the call and copied where it changed; a temporary buffer is
 * copied. CPU time is compared.
 */
import { fileURLToPath } from 'node:url';
import { memref, openTee, temporary, trustedApplication } from '../dist/index.js';

const size = 1024 * 1024;
const rounds = 15;
const callsPerRound = 60;

const touch = { nothing: 0, all: 1 };

const application = trustedApplication({
  uuid: 'c0ffee00-0000-4000-8000-000000000007',
  kind: 'pseudo',
  concurrent: true,
  create: () => {
    let mark = 0;
    return {
      invokeCommand(call) {
        if (call.command === touch.nothing) return;
        mark = (mark + 1) % 256;
        for (const window of call.memref(0).windows()) window.fill(mark);
      },
    };
  },
});

/**
 * @returns {Promise<Record<string, { microseconds: number, toTwoCopies: number }>>} medians, and their ratio to two
 * copies of 1 MiB.
 */
export async function benchSharedMemory() {
  const tee = await openTee({ trustedApplications: [application] });
  const context = tee.openContext();
  const session = await context.openSession(application.uuid);
  const registered = await context.registerSharedMemory(new Uint8Array(size));
  const allocated = await context.allocateSharedMemory(size);
  const buffer = new Uint8Array(size);
  const copy = new Uint8Array(size);
  let mark = 0;
  const writes = (bytes) => bytes.fill(++mark % 256);
  const ways = {
    'two copies, no call': () => {
      copy.set(buffer);
      buffer.set(copy);
    },
    allocated: () => session.invoke(touch.nothing, [memref.inout(allocated)]),
    temporary: () => session.invoke(touch.nothing, [temporary.inout(buffer)]),
    'registered, nobody writes': () => session.invoke(touch.nothing, [memref.inout(registered)]),
    'registered, the client writes all of it': () => {
      writes(registered.bytes);
      return session.invoke(touch.nothing, [memref.inout(registered)]);
    },
    'registered, the TA writes all of it': () => session.invoke(touch.all, [memref.inout(registered)]),
  };
  const measured = new Map(Object.keys(ways).map((name) => [name, []]));
  for (let round = -3; round < rounds; round++)
    for (const [name, call] of Object.entries(ways)) {
      const start = process.cpuUsage();
      for (let number = 0; number < callsPerRound; number++) await call();
      const { user, system } = process.cpuUsage(start);
      if (round >= 0) measured.get(name).push((user + system) / callsPerRound);
    }
  await tee.close();
  const median = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
  const medians = new Map([...measured].map(([name, each]) => [name, median(each)]));
  const copies = medians.get('two copies, no call');
  return Object.fromEntries(
    [...medians].map(([name, each]) => [
      name,
      { microseconds: Math.round(each), toTwoCopies: Math.round((each / copies) * 100) / 100 },
    ]),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.table(await benchSharedMemory());
