/**
 * One set of tests, wherever the TEE is: `node --test three-worlds.test.js` on the simulated world, with
 * NORMALWORLD_TEE=qemu on OP-TEE in QEMU, with NORMALWORLD_TEE=linux on a board, behind Linux's own driver, and with
 * NORMALWORLD_TEE=ssh://board on that board from the desk.
 *
 * The application is SIMS of OP-TEE's own test suite; in the simulated world the few lines below stand for it. On a board
 * its image, and a supplicant, must be there.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { TeeResult, temporary, trustedApplication, value } from 'normalworld';
import { openTestTee, testWorld } from 'normalworld/testing';

const uuid = 'e6a33ed4-562b-463a-bb7e-ff5e15a493c8';
const Command = { read: 1, write: 2 };

const simulated = trustedApplication({
  uuid,
  kind: 'user',
  singleInstance: true,
  multiSession: true,
  create() {
    const kept = new Map();
    return {
      invokeCommand(call) {
        if (call.command === Command.write) kept.set(call.value(0, 'input').a, call.memref(1, 'input').read());
        else if (call.command === Command.read)
          call.memref(1, 'output').write(kept.get(call.value(0, 'input').a) ?? new Uint8Array(0));
        else return TeeResult.ERROR_BAD_PARAMETERS;
        return undefined;
      },
    };
  },
});

describe(`SIMS on ${testWorld().world}`, () => {
  let tee;
  let context;
  before(async () => {
    tee = await openTestTee({ every: { callLimitMs: 60_000 }, simulated: { trustedApplications: [simulated] } });
    context = tee.openContext();
  });
  after(() => tee.close());

  it('shows in one session what was written in another', async () => {
    const [writer, reader] = await Promise.all([context.openSession(uuid), context.openSession(uuid)]);
    await writer.invoke(Command.write, [value.input(0), temporary.input(new TextEncoder().encode('hello'))]);
    const [, content] = await reader.invoke(Command.read, [value.input(0), temporary.output(5)]);
    assert.equal(new TextDecoder().decode(content), 'hello');
    for (const session of [writer, reader]) await session.close();
  });

  it('says who refused an unknown command', async () => {
    const session = await context.openSession(uuid);
    await assert.rejects(session.invoke(99), ({ code }) => code === TeeResult.ERROR_BAD_PARAMETERS);
    await session.close();
  });
});
