/**
 * `node bench/message-mapping.js [--json] [--seconds N] NAME...`: invokes of a pseudo-TA a second on each OP-TEE of `optee list`,
 * alone and while another call of the same message page waits inside. Over FF-A, OP-TEE maps the page of a message for a call
 * and unmaps it behind the last one, with a TLB invalidation of everything: the second figure is without that.
 */
import { parseArgs } from 'node:util';
import { openTee, value } from '../dist/index.js';
import { opteeNamed } from '../dist/optee-build/built-optee.js';
import { QemuWorld } from '../dist/worlds/qemu/qemu-world.js';

const invokeTestsPta = 'd96a5b40-c3e5-21e3-8794-1002a5d5c61b';
const osTest = '5b9e0e40-2636-11e1-ad9e-0002a5d5c51b';
/** TA_OS_TEST_CMD_WAIT of os_test: TEE_Wait of so many milliseconds. */
const wait = 9;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, seconds: { type: 'string', default: '3' } },
});
const seconds = Number(values.seconds);
if (positionals.length === 0 || !(seconds > 0)) {
  console.error('usage: node bench/message-mapping.js [--json] [--seconds N] NAME...');
  process.exit(2);
}

async function figures(name) {
  const { image, trustedApplications } = await opteeNamed(name);
  const world = await QemuWorld.start({ optee: image, cpus: 1 });
  const tee = await openTee({ world, taFolders: [trustedApplications] });
  const context = tee.openContext();
  const pta = await context.openSession(invokeTestsPta);
  const other = await context.openSession(osTest);
  const rate = async () => {
    for (let call = 0; call < 500; call++) await pta.invoke(1, [value.inout(1)]);
    const begun = performance.now();
    let calls = 0;
    for (; performance.now() - begun < seconds * 1000; calls++) await pta.invoke(1, [value.inout(1)]);
    return Math.round((calls * 1000) / (performance.now() - begun));
  };
  const alone = await rate();
  const waiting = other.invoke(wait, [value.input(2000 * seconds)]);
  const beside = await rate();
  await waiting;
  await tee.close();
  return { alone, 'while another call waits': beside };
}

const rows = {};
for (const name of positionals) rows[name] = await figures(name);
if (values.json) console.log(JSON.stringify(rows));
else console.table(rows);
