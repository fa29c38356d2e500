/**
 * One caller's calls a second over /dev/tee0, in a guest: a C program's, those of a C program whose second thread makes
 * the calls, and ours, in turns. It prints one line of JSON for each application: `@throughput {"what": ..., "c": [...],
 * "thread": [...], "node": [...]}`.
 */
import { execFileSync } from 'node:child_process';
import { openTee, value } from './dist/index.js';

const rounds = 5;
const seconds = 3;
/** An emulated machine takes long to compile what is called often, so calls are made until they become no faster. */
const warmUpRounds = { fewest: 4, most: 20, withoutGain: 3, seconds: 2 };
const inout = 3;
const output = 2;
const measured = [
  {
    ...{ what: 'pseudo-TA', uuid: 'd96a5b40-c3e5-21e3-8794-1002a5d5c61b', command: 1, attr: inout },
    parameters: [value.inout(1, 0)],
  },
  {
    ...{ what: 'user TA', uuid: '5b9e0e40-2636-11e1-ad9e-0002a5d5c51b', command: 18, attr: output },
    parameters: [value.output()],
  },
];

const tee = await openTee({ world: 'linux' });
const context = tee.openContext();
for (const { what, uuid, command, attr, parameters } of measured) {
  const session = await context.openSession(uuid);
  const ours = async (forSeconds) => {
    const begin = performance.now();
    let calls = 0;
    for (; performance.now() - begin < forSeconds * 1000; calls++) await session.invoke(command, parameters);
    return (calls * 1000) / (performance.now() - begin);
  };
  await warmUp(ours);
  const [c, thread, node] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    const words = [uuid.replaceAll('-', ''), `${command}`, `${attr}`, `${seconds}`];
    for (const [rates, more] of [
      [c, []],
      [thread, ['thread']],
    ])
      rates.push(Number(execFileSync('/bin/throughput', [...words, ...more], { encoding: 'utf8' })));
    node.push(await ours(seconds));
  }
  await session.close();
  console.log(`@throughput ${JSON.stringify({ what, c, thread, node })}`);
}
await tee.close();

async function warmUp(ours) {
  const { fewest, most, withoutGain, seconds: forSeconds } = warmUpRounds;
  let [best, since] = [0, 0];
  for (let round = 1; round <= most && (round <= fewest || since < withoutGain); round++) {
    const rate = await ours(forSeconds);
    since = rate > best ? 0 : since + 1;
    best = Math.max(best, rate);
  }
}
