/**
 * `npm run bench:fuzz -- [--json] [--seconds N]`: what coverage costs, how the `ta` target compares with plain invokes, and how far a
 * guided run comes against blind changes of the same first inputs. One run, one machine: the ratios are what counts.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Fuzzer } from '../dist/fuzz/engine/fuzzer.js';
import { targetNamed } from '../dist/fuzz/open-target.js';
import { openTee } from '../dist/index.js';
import { opteeFolder } from '../dist/worlds/qemu/optee-folder.js';

const { values } = parseArgs({ options: { json: { type: 'boolean' }, seconds: { type: 'string', default: '60' } } });
const seconds = Number(values.seconds);
if (!(seconds > 0)) {
  console.error('usage: npm run bench:fuzz -- [--json] [--seconds N]');
  process.exit(2);
}
const pta = 'd96a5b40-c3e5-21e3-8794-1002a5d5c61b';
const ta = '5b9e0e40-2636-11e1-ad9e-0002a5d5c51b';
const { image, trustedApplications } = opteeFolder();
const optee = { image, taFolders: [trustedApplications] };
const invoke = { steps: [{ kind: 'invoke', session: 0, command: 0, parameters: [] }] };

/** Executions a second of the same input, on a harness that is warm. */
async function rate(name, uuid, coverage) {
  await using harness = await targetNamed(name, uuid, { optee: { ...optee, coverage } }).open();
  return perSecond(async () => {
    await harness.execute(invoke);
    harness.drain(() => undefined);
  });
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
  await using tee = await openTee({ world: 'qemu', qemu: { cpus: 1 } });
  const session = await tee.openContext().openSession(ta);
  return perSecond(() => session.invoke(0, []).catch(() => undefined));
}

async function edges(blind) {
  const folder = mkdtempSync(join(tmpdir(), 'normalworld-bench-fuzz-'));
  try {
    const target = targetNamed('pta', pta, { optee });
    const fuzzer = new Fuzzer(target, { folder, seed: 1, ms: seconds * 1000, blind });
    return (await fuzzer.run()).edges;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const withCoverage = await rate('pta', pta, true);
const without = await rate('pta', pta, false);
const taRate = await rate('ta', ta, true);
const plain = await plainInvokes();
const guided = await edges(false);
const blind = await edges(true);
const rows = [
  ['pta, executions a second, with coverage against without', withCoverage, without, 0.5],
  ['ta, executions a second, against plain invokes of a user TA', taRate, plain, 0.7],
  [`pta, edges after ${seconds} s, guided against blind`, guided, blind, 1.5],
].map(([what, one, other, bar]) => ({ what, one, other, ratio: one / other, bar }));
if (values.json) console.log(JSON.stringify(rows));
else {
  console.log('| what | | against | ratio | at least |\n| --- | --- | --- | --- | --- |');
  for (const { what, one, other, ratio, bar } of rows)
    console.log(`| ${what} | ${Math.round(one)} | ${Math.round(other)} | ${ratio.toFixed(2)} | ${bar} |`);
}
if (rows.some(({ ratio, bar }) => ratio < bar)) process.exitCode = 1;
