// Opens a QEMU world with each number of free descriptors from 0 until it opens, and prints each outcome as a line of JSON.
// Exits with 1 for an error that nobody caught.
import { closeSync, openSync, readdirSync } from 'node:fs';
import { opteeFolder } from '../../../dist/worlds/qemu/optee-folder.js';
import { QemuWorld } from '../../../dist/worlds/qemu/qemu-world.js';

const open = async () => {
  const world = await QemuWorld.start({ optee: opteeFolder().image });
  await world[Symbol.asyncDispose]();
};
const inUse = () => readdirSync('/proc/self/fd').length;

/** Take all descriptors but `free`. */
function fill(free) {
  const taken = [];
  try {
    for (;;) taken.push(openSync('/dev/null'));
  } catch {
    for (const descriptor of taken.splice(0, free)) closeSync(descriptor);
  }
  return taken;
}

await open(); // loads what is loaded when it is first needed
const before = inUse();
for (let free = 0, opened = false; !opened; free++) {
  const taken = fill(free);
  const outcome = await open().then(
    () => ({ opened: true }),
    ({ name, code, message }) => ({ name, code, message }),
  );
  for (const descriptor of taken) closeSync(descriptor);
  opened = outcome.opened === true;
  console.log(JSON.stringify({ free, ...outcome, leaked: inUse() - before }));
}
