// Creates objects in a storage of OP-TEE for ever, `object <number>` each, and says so after each.
// Arguments: image, folder of applications, storage folder, file of the card, storage id.
import { openTee, temporary, value } from '../../dist/index.js';
import { rpmbTestKey } from '../../dist/rpmb/index.js';

const [optee, taFolder, storageFolder, file, storageId] = process.argv.slice(2);
const tee = await openTee({
  world: 'qemu',
  qemu: { optee },
  taFolders: [taFolder],
  storageFolder,
  emmc: { file, key: rpmbTestKey, sizeMultiplier: 8 },
});
const session = await tee.openContext().openSession('b689f2a7-8adf-477a-9f99-32e90c0ad0a2');
process.stdout.write('ready\n');
for (let number = 0; ; number++) {
  const [, { b: handle }] = await session.invoke(4, [
    temporary.input(new TextEncoder().encode(`object ${number}`)),
    value.inout(0x7 | 0x400),
    value.input(0, Number(storageId)),
    temporary.input(new Uint8Array(700).fill(number)),
  ]);
  await session.invoke(1, [value.input(handle)]);
  process.stdout.write(`${number}\n`);
}
