/**
 * One test of a trusted application, against both worlds: `node --test ta.test.js`. In the simulated world it is the
 * application below; in the real one, Debian's test application os_test is asked for something simple.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { openTee, trustedApplication, value } from 'normalworld';

const adder = trustedApplication({
  uuid: '7e0a0900-586b-11e5-93a0-0002a5d5c51b',
  kind: 'user',
  create: () => ({
    invokeCommand(call) {
      call.value(0).a += call.value(0).b;
    },
  }),
});

test('adds, in the simulated world', async () => {
  const tee = await openTee({ trustedApplications: [adder] });
  try {
    const session = await tee.openContext({ label: 'test' }).openSession(adder.uuid);
    const [sum] = await session.invoke(0, [value.inout(40, 2)]);
    assert.deepEqual(sum, { a: 42, b: 2 });
  } finally {
    await tee.close();
  }
});

const image = process.env.MY_TA_FOLDER;
test('adds, in the real OP-TEE', {
  skip: image === undefined || !existsSync(image) ? 'set MY_TA_FOLDER' : false,
}, async () => {
  const tee = await openTee({ world: 'qemu', taFolders: [image] });
  try {
    const session = await tee.openContext({ label: 'test' }).openSession(adder.uuid);
    const [sum] = await session.invoke(0, [value.inout(40, 2)]);
    assert.deepEqual(sum, { a: 42, b: 2 });
  } finally {
    await tee.close();
  }
});
