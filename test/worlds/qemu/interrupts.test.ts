import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { openTee, temporary, value } from '../../../src/index.js';
import { smcRegisters } from '../../../src/protocol/conduit.js';
import { isRpcReturn, OpteeSmc, OpteeSmcRpc, rpcFunction } from '../../../src/protocol/optee-smc.js';
import { happened } from '../../support/happened.js';
import { folder, onRealOptee, startWorld, whyNot } from './real-optee.js';

/** ta/crypt of OP-TEE's test suite. */
const crypt = 'cb3e5ba0-adf1-11e0-998b-0002a5d5c51b';
const sha256 = 2;

describe.skipIf(whyNot !== undefined)(onRealOptee('interrupts'), () => {
  it('of the normal world interrupt a call in secure world, which continues afterwards', async () => {
    const world = await startWorld();
    await using tee = await openTee({ world, taFolders: [folder.trustedApplications] });
    await using session = await tee.openContext().openSession(crypt);
    const data = new Uint8Array(1 << 20).map((_, index) => index * 3);
    let taken = 0;
    tee.trace.listen((event) => {
      if (event.type !== 'world-exit' || !isRpcReturn(event.a0)) return;
      if (rpcFunction(event.a0) === OpteeSmcRpc.foreignInterrupt) taken++;
    });
    // A call for a sleeping second CPU rings the bell, which the first CPU hears although it is in secure world.
    for (let attempt = 0; attempt < 20 && taken === 0; attempt++) {
      let done = false;
      const hashing = session.invoke(sha256, [temporary.input(data), temporary.output(32)]).finally(() => {
        done = true;
      });
      while (!done) {
        await world.conduit.smc(smcRegisters(OpteeSmc.getThreadCount));
        await new Promise(setImmediate);
      }
      const [, digest] = await hashing;
      expect(Buffer.from(digest)).toEqual(createHash('sha256').update(data).digest());
    }
    expect(taken).toBeGreaterThan(0);
  });

  it('of OP-TEE reach it while no call is inside, and it notifies the normal world of pending work', async () => {
    // OP-TEE's test watchdog fires each second; half of its work is left to a call (CFG_NOTIF_TEST_WD).
    await using tee = await openTee({ world: 'qemu' });
    await happened(tee, ({ type }) => type === 'notification');
    await happened(tee, (event) => event.type === 'secure-console' && /wd_ndrv_yielding_cb/.test(event.line));
    await using session = await tee.openContext().openSession('d96a5b40-c3e5-21e3-8794-1002a5d5c61b');
    expect(await session.invoke(1, [value.inout(1, 2)])).toEqual([{ a: 3, b: 2 }]);
  });
});
