/**
 * `node bench/guest-work.js [--json] [--calls N] [--qemu PROGRAM] [--optee NAME]`: the cost of a call in the emulated
 * machine: instructions executed by OP-TEE and its applications, and how often QEMU flushes its TLB. Both are
 * independent of other load. The time is measured in a boot without the counting plugin.
 */
import { parseArgs } from 'node:util';
import { qemuPlugin } from '../dist/coverage/coverage-plugin.js';
import { ProfileMap } from '../dist/coverage/profile-map.js';
import { openTee, value } from '../dist/index.js';
import { opteeNamed } from '../dist/optee-build/built-optee.js';
import { QemuWorld } from '../dist/worlds/qemu/qemu-world.js';

const invokeTestsPta = 'd96a5b40-c3e5-21e3-8794-1002a5d5c61b';
const osTest = '5b9e0e40-2636-11e1-ad9e-0002a5d5c51b';
const sims = 'e6a33ed4-562b-463a-bb7e-ff5e15a493c8';

/**
 * The monitor, and the normal world's polling for calls, execute in flash. Their number of instructions depends on
 * time, so they are not counted.
 */
const endOfFlash = 0x0800_0000n;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    calls: { type: 'string', default: '500' },
    qemu: { type: 'string' },
    optee: { type: 'string' },
  },
});
const calls = Number(values.calls);
const optee = await opteeNamed(values.optee);
const qemu = values.qemu === undefined ? {} : { qemu: values.qemu };

const profile = new ProfileMap(await qemuPlugin('profile', values.qemu));
const counted = await measure({ coverage: profile }, async (world) => {
  const blocks = profile.blocks();
  const ofSecureWorld = profile.nodes().filter(({ block }) => (blocks[block]?.address ?? 0n) >= endOfFlash);
  const instructions = ofSecureWorld.reduce((sum, { executed }) => sum + executed, 0);
  const jit = (await world.monitorCommand('info jit')) ?? '';
  const flushes = ['full', 'partial'].map((kind) =>
    Number(new RegExp(`TLB ${kind} flushes +(\\d+)`).exec(jit)?.[1] ?? 0),
  );
  return { instructions, 'TLB flushes': flushes[0] + flushes[1] };
});
if (profile.lost > 0) throw new Error(`the plugin had no room for ${profile.lost} blocks`);
const timed = await measure({}, async () => ({ microseconds: performance.now() * 1000 }));

const rows = Object.fromEntries(Object.keys(counted).map((what) => [what, { ...counted[what], ...timed[what] }]));
if (values.json) console.log(JSON.stringify(rows));
else console.table(rows);

/** One boot: the increase of the counters that `read` returns, for the boot and for one call of each kind. */
async function measure(options, read) {
  const rows = {};
  const begin = performance.now() * 1000;
  const world = await QemuWorld.start({ optee: optee.image, ...qemu, ...options });
  const tee = await openTee({ world, taFolders: [optee.trustedApplications] });
  let before = { ...(await read(world)), ...('coverage' in options ? {} : { microseconds: begin }) };
  if ('coverage' in options) rows.boot = before;
  else rows.boot = { microseconds: Math.round(performance.now() * 1000 - begin) };
  const context = tee.openContext();
  const count = async (what, times, call) => {
    before = await read(world);
    for (let time = 0; time < times; time++) await call();
    const after = await read(world);
    rows[what] = Object.fromEntries(
      Object.keys(after).map((key) => [key, Math.round((after[key] - before[key]) / times)]),
    );
  };
  const several = async (what, call) => {
    // QEMU translates code during the first calls.
    for (let time = 0; time < 50; time++) await call();
    await count(what, calls, call);
  };
  let user;
  await count('first session with a user TA', 1, async () => {
    user = await context.openSession(osTest);
  });
  const pta = await context.openSession(invokeTestsPta);
  await several('invoke of a pseudo-TA', () => pta.invoke(1, [value.inout(1)]));
  await several('invoke of a user TA', () => user.invoke(18, [value.output()]));
  const held = await context.openSession(sims);
  await several('open and close', async () => (await context.openSession(sims)).close());
  await held.close();
  await tee.close();
  return rows;
}
