import { missingForQemu, openTee, type Session, type Tee, TeeResult, temporary, value } from 'normalworld';
import { ConsoleLog } from 'normalworld/ta';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { add, model, reverse, uuid } from './model.js';

/** Why the real OP-TEE cannot be had on this machine. Continuous integration does not go without. */
const missing = process.env.CI ? undefined : await missingForQemu();

/** What the application printed: shown when a test fails. */
const log = new ConsoleLog({ modules: ['TA'] });
afterEach(({ task }) => {
  const lines = log.take();
  if (task.result?.state === 'fail') console.error(lines.join('\n'));
});

const worlds = {
  'a simulated secure world': () => openTee({ trustedApplications: [model] }),
  'OP-TEE': () => openTee({ world: 'qemu', taFolders: ['build/ta'], qemu: { onConsoleLine: log.add } }),
};

for (const [name, open] of Object.entries(worlds))
  describe.skipIf(name === 'OP-TEE' && missing !== undefined)(`__NAME__ in ${name}`, () => {
    let tee: Tee;
    let session: Session;
    // OP-TEE boots in a fraction of a second; a machine that is busy may take many times that.
    beforeAll(async () => {
      tee = await open();
      session = await tee.openContext().openSession(uuid);
    }, 60_000);
    afterAll(async () => {
      await tee?.close();
    });

    it('adds', async () => {
      const [sum] = await session.invoke(add, [value.inout(40, 2)]);
      expect(sum.a).toBe(42);
    });

    it('refuses a sum that does not fit', async () => {
      await expect(session.invoke(add, [value.inout(0xffff_ffff, 1)])).rejects.toMatchObject({
        code: TeeResult.ERROR_BAD_PARAMETERS,
      });
    });

    it('reverses a buffer in place', async () => {
      const buffer = Uint8Array.of(1, 2, 3);
      await session.invoke(reverse, [temporary.inout(buffer)]);
      expect([...buffer]).toEqual([3, 2, 1]);
    });

    it('has no other commands', async () => {
      await expect(session.invoke(99)).rejects.toMatchObject({ code: TeeResult.ERROR_NOT_SUPPORTED });
    });
  });
