/**
 * One set of tests of a trusted application, against both worlds: `node --test ta.test.js`.
 *
 * In the real OP-TEE it is SIMS of OP-TEE's own test suite, which `normalworld optee fetch` gets; in the simulated world
 * the few lines below stand for it. For an application of your own put its `<uuid>.ta` into a folder, and name the folder
 * in `taFolders`.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { missingForQemu, openTee, TeeError, TeeResult, temporary, trustedApplication, value } from 'normalworld';

const uuid = 'e6a33ed4-562b-463a-bb7e-ff5e15a493c8';
const Command = { read: 1, write: 2 };

/** What the real application keeps: a few buffers, one instance for all sessions. */
const simulated = trustedApplication({
  uuid,
  kind: 'user',
  singleInstance: true,
  multiSession: true,
  create() {
    const kept = new Map();
    return {
      invokeCommand(call) {
        switch (call.command) {
          case Command.write:
            kept.set(call.value(0, 'input').a, call.memref(1, 'input').read());
            return;
          case Command.read:
            call.memref(1, 'output').write(kept.get(call.value(0, 'input').a) ?? new Uint8Array(0));
            return;
          default:
            throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS);
        }
      },
    };
  },
});

const missing = await missingForQemu();
const worlds = [
  { name: 'the simulated world', open: () => openTee({ trustedApplications: [simulated] }), skip: false },
  { name: 'the real OP-TEE', open: () => openTee({ world: 'qemu' }), skip: missing ?? false },
  // Of your own: openTee({ world: 'qemu', taFolders: ['build/ta'] })
];

for (const { name, open, skip } of worlds) {
  describe(`in ${name}`, { skip }, () => {
    it('shows in one session what was written in another', async () => {
      const tee = await open();
      try {
        const context = tee.openContext({ label: 'test' });
        const writer = await context.openSession(uuid);
        const reader = await context.openSession(uuid);
        await writer.invoke(Command.write, [value.input(0), temporary.input(new TextEncoder().encode('hello'))]);
        const [, content] = await reader.invoke(Command.read, [value.input(0), temporary.output(5)]);
        assert.equal(new TextDecoder().decode(content), 'hello');
      } finally {
        await tee.close();
      }
    });

    it('refuses a command that it does not have', async () => {
      const tee = await open();
      try {
        const session = await tee.openContext({ label: 'test' }).openSession(uuid);
        await assert.rejects(session.invoke(99), { code: TeeResult.ERROR_BAD_PARAMETERS });
      } finally {
        await tee.close();
      }
    });
  });
}
