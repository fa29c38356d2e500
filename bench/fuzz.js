/**
 * `npm run bench:fuzz -- [--json] [--seconds N]`: the cost of coverage; the `ta` target compared with plain invokes; a
 * guided run compared with blind mutation of the same seeds; and random calls on a pseudo-TA compared with the same
 * calls through Linux's /dev/tee0, if the tools for that are installed (bench/README.md). These are figures of one run
 * on one machine, so only the ratios matter.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Fuzzer } from '../dist/fuzz/engine/fuzzer.js';
import { targetNamed } from '../dist/fuzz/open-target.js';
import { openTee, value } from '../dist/index.js';
import { opteeFolder } from '../dist/worlds/qemu/optee-folder.js';
import { linuxFigures } from './linux/figures.js';
import { prepareLinux } from './linux/prepare.js';

const { values } = parseArgs({ options: { json: { type: 'boolean' }, seconds: { type: 'string', default: '60' } } });
const seconds = Number(values.seconds);
if (!(seconds > 0)) {
  console.error('usage: npm run bench:fuzz -- [--json] [--seconds N]');
  process.exit(2);
}
const pta = 'd96a5b40-c3e5-21e3-8794-1002a5d5c61b';
const ta = '5b9e0e40-2636-11e1-ad9e-0002a5d5c51b';
/** OP-TEE's test application for cryptographic operations: it has state, and commands that depend on each other. */
const crypt = 'cb3e5ba0-adf1-11e0-998b-0002a5d5c51b';
const { image, trustedApplications } = opteeFolder();
const optee = { image, taFolders: [trustedApplications] };
/** A short command without output, of the test pseudo-TA and of the TA `os_test`, as in `bench:optee`. */
const commandOfPta = { command: 1, parameters: [{ kind: 'value', direction: 'inout', a: 1, b: 0 }] };
const commandOfTa = { command: 18, parameters: [{ kind: 'value', direction: 'output', a: 0, b: 0 }] };

/** Executions per second of the same input on a warm instance. */
async function rate(name, uuid, command, coverage) {
  const invoke = { steps: [{ kind: 'invoke', session: 0, ...command }] };
  return disposing(await targetNamed(name, uuid, { optee: { ...optee, coverage } }).open(), (harness) =>
    perSecond(async () => {
      await harness.execute(invoke);
      harness.drain(() => undefined);
    }),
  );
}

/** Replaces `await using`, which Node 20 does not have. */
async function disposing(disposable, work) {
  try {
    return await work(disposable);
  } finally {
    await disposable[Symbol.asyncDispose]();
  }
}

async function perSecond(work) {
  for (let time = 0; time < 50; time++) await work();
  const begun = performance.now();
  let times = 0;
  while (performance.now() - begun < (seconds * 1000) / 4) {
    await work();
    times++;
  }
  return (times * 1000) / (performance.now() - begun);
}

async function plainInvokes() {
  return disposing(await openTee({ world: 'qemu', qemu: { cpus: 1 } }), async (tee) => {
    const session = await tee.openContext().openSession(ta);
    return perSecond(() => session.invoke(commandOfTa.command, [value.output()]));
  });
}

/**
 * Edges that a run finds in the given time beyond those of its first input, which are mostly of opening a session.
 * Findings are not minimised.
 */
async function edges(target, blind) {
  const run = async (limits) => {
    const folder = mkdtempSync(join(tmpdir(), 'normalworld-bench-fuzz-'));
    try {
      return (await new Fuzzer(target, { folder, seed: 1, blind, claim: async () => false, ...limits }).run()).edges;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
  const first = await run({ executions: 1 });
  return (await run({ ms: seconds * 1000 })) - first;
}

/**
 * The same calls as `random_calls` in bench/linux/client.c, each as a complete execution.
 * @param {number} kinds number of parameter kinds: 4 are none and values, 7 also memory references.
 */
async function randomCalls(kinds) {
  let drawn = 1;
  const draw = (limit) => {
    drawn ^= drawn << 13;
    drawn ^= drawn >>> 17;
    drawn ^= drawn << 5;
    return (drawn >>> 0) % limit;
  };
  const directions = ['input', 'output', 'inout'];
  const parameter = () => {
    const kind = draw(kinds);
    if (kind === 0) return { kind: 'none' };
    if (kind < 4) return { kind: 'value', direction: directions[kind - 1], a: draw(1 << 16), b: draw(1 << 16) };
    return { kind: 'memref', direction: directions[kind - 4], octets: '00'.repeat(1 + draw(256)) };
  };
  return disposing(await targetNamed('pta', pta, { optee: { ...optee, coverage: true } }).open(), (harness) =>
    perSecond(async () => {
      const [command, count] = [draw(16), draw(5)];
      const parameters = Array.from({ length: count }, parameter);
      await harness.execute({
        steps: [{ kind: 'invoke', session: 0, command: command < 5 ? command : command + 8, parameters }],
      });
      harness.drain(() => undefined);
    }),
  );
}

/** Undefined, with a message that says why, if Linux cannot be booted. */
async function randomCallsOnLinux() {
  try {
    const words = [String(Math.ceil(seconds / 4)), 'random'];
    const guest = { init: 'client.c', words, files: new Map(), trustedApplications: [] };
    return await linuxFigures(await prepareLinux((text) => console.error(text), guest));
  } catch (error) {
    console.error(`without Linux: ${error.message}`);
    return undefined;
  }
}

const withCoverage = await rate('pta', pta, commandOfPta, true);
const without = await rate('pta', pta, commandOfPta, false);
const taRate = await rate('ta', ta, commandOfTa, true);
const plain = await plainInvokes();
const guidance = [];
for (const [name, uuid, bar] of [
  ['pta', pta, undefined],
  ['ta', crypt, 1.5],
  ['message', undefined, 1.5],
  ['driver', undefined, 1.5],
]) {
  const target = targetNamed(name, uuid, { optee });
  const what = `${name}, edges after ${seconds} s, guided against blind`;
  guidance.push([what, await edges(target, false), await edges(target, true), bar]);
}
const throughLinux = await randomCallsOnLinux();
const rows = [
  ['pta, executions a second, with coverage against without', withCoverage, without, 0.5],
  ['ta, executions a second, against plain invokes of a user TA', taRate, plain, 0.7],
  ...guidance,
  ...(throughLinux === undefined
    ? []
    : [
        [
          'pta, random calls with values a second, against the same through /dev/tee0',
          await randomCalls(4),
          throughLinux.randomValueCallsPerSecond,
          5,
        ],
        [
          'pta, random calls with values and memory a second, against the same',
          await randomCalls(7),
          throughLinux.randomCallsPerSecond,
          undefined,
        ],
      ]),
].map(([what, one, other, bar]) => ({ what, one, other, ratio: one / other, bar }));
if (values.json) console.log(JSON.stringify(rows));
else {
  console.log('| what | | against | ratio | at least |\n| --- | --- | --- | --- | --- |');
  for (const { what, one, other, ratio, bar } of rows)
    console.log(`| ${what} | ${Math.round(one)} | ${Math.round(other)} | ${ratio.toFixed(2)} | ${bar ?? ''} |`);
}
if (rows.some(({ ratio, bar }) => bar !== undefined && ratio < bar)) process.exitCode = 1;
