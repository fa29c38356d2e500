import { openTee, type Tee, type TeecError, temporary, value } from 'normalworld';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** The trusted application under test; put your own `<uuid>.ta` into a folder and name it in `taFolders`. */
const application = 'e6a33ed4-562b-463a-bb7e-ff5e15a493c8';
const read = 1;
const write = 2;

describe('SIMS, a trusted application with one instance for all its sessions', () => {
  let tee: Tee;
  beforeAll(async () => {
    // Boots OP-TEE in QEMU, in well under a second. `taFolders: ['build/ta']` would load your own TAs.
    tee = await openTee({ world: 'qemu' });
  });
  afterAll(() => tee.close());

  it('shows in one session what was written in another', async () => {
    const context = tee.openContext();
    const first = await context.openSession(application);
    const second = await context.openSession(application);
    await first.invoke(write, [value.input(0), temporary.input(new TextEncoder().encode('hello'))]);
    const [, content] = await second.invoke(read, [value.input(0), temporary.output(5)]);
    expect(new TextDecoder().decode(content)).toBe('hello');
    await context.close();
  });

  it('refuses a command that it does not have', async () => {
    const context = tee.openContext();
    const session = await context.openSession(application);
    const error: TeecError = await session.invoke(99).then(
      () => expect.fail('it was accepted'),
      (error) => error,
    );
    expect(error.codeName).toBe('TEEC_ERROR_BAD_PARAMETERS');
    await context.close();
  });
});
