// A program that starts a world with the firmware given, says each stage it reaches, and goes on until it is killed.
import { writeSync } from 'node:fs';
import { smcRegisters } from '../../../dist/protocol/conduit.js';
import { OpteeSmc } from '../../../dist/protocol/optee-smc.js';
import { opteeFolder } from '../../../dist/worlds/qemu/optee-folder.js';
import { QemuWorld } from '../../../dist/worlds/qemu/qemu-world.js';

const [firmware, qemu] = process.argv.slice(2);
const reached = new Set();
const say = (stage) => {
  if (reached.has(stage)) return;
  reached.add(stage);
  writeSync(1, `${stage}\n`);
};

const world = await QemuWorld.start({
  optee: opteeFolder().image,
  firmware,
  qemu,
  onConsoleLine: () => say('booting'),
});
say('idle');
for (;;) {
  await world.conduit.smc(smcRegisters(OpteeSmc.getThreadCount));
  say('calling');
  await new Promise(setImmediate);
}
