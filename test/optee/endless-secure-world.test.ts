import { expect, it } from 'vitest';
import { machineClock } from '../../src/clock/clock.js';
import { openTee, TeecError, TeeOrigin, TeeResult, Trace, value } from '../../src/index.js';
import { smcRegisters } from '../../src/protocol/conduit.js';
import { Ffa } from '../../src/protocol/ffa.js';
import { isFastCall, OpteeSmc, rpcReturn } from '../../src/protocol/optee-smc.js';
import { Command, pseudoTa } from '../support/applications.js';

// These worlds answer at once, in this process: who waited for them without a limit would never let anything else run.

it('a limit ends a call whose secure world asks the same for ever, and the driver closes', async () => {
  let endless = false;
  let asked = 0;
  const tee = await openTee({
    trustedApplications: [pseudoTa],
    simulated: {
      faults: {
        smc: (call) => {
          if (!endless || isFastCall(call.a0)) return undefined;
          // So that a driver that never lets go fails this test rather than stops it.
          return smcRegisters(++asked < 5_000_000 ? rpcReturn(4) : 0);
        },
      },
    },
  });
  const session = await tee.openContext().openSession(pseudoTa.uuid);
  endless = true;
  const error = await session.invoke(Command.add, [value.inout(1, 1)], { limitMs: 20 }).catch((thrown) => thrown);
  expect(error).toBeInstanceOf(TeecError);
  expect(error).toMatchObject({ code: TeeResult.ERROR_TIMEOUT, origin: TeeOrigin.COMMS });
  const unfinished = await tee.close({ graceMs: 10 });
  expect(unfinished.map(({ purpose }) => purpose)).toContain('invoke');
});

it('a limit ends a call whose partition is interrupted for ever', async () => {
  let endless = false;
  let run = 0;
  const tee = await openTee({
    trustedApplications: [pseudoTa],
    simulated: {
      abi: 'ffa',
      faults: { smc: () => (endless ? smcRegisters(++run < 5_000_000 ? Ffa.interrupt : Ffa.error) : undefined) },
    },
  });
  const session = await tee.openContext().openSession(pseudoTa.uuid);
  endless = true;
  const error = await session.invoke(Command.add, [value.inout(1, 1)], { limitMs: 20 }).catch((thrown) => thrown);
  expect(error).toMatchObject({ code: TeeResult.ERROR_TIMEOUT, origin: TeeOrigin.COMMS });
  const unfinished = await tee.close({ graceMs: 10 });
  expect(unfinished.map(({ purpose }) => purpose)).toContain('invoke');
});

it('a cache of messages that never becomes empty is left, and the driver opens and closes', async () => {
  let answers = 0;
  const said: string[] = [];
  const trace = new Trace(machineClock);
  trace.listen((event) => {
    if (event.type === 'protocol-violation') said.push(event.what);
  });
  const tee = await openTee({
    trustedApplications: [pseudoTa],
    trace,
    simulated: {
      rpcArg: false,
      faults: {
        smc: (call) =>
          call.a0 === OpteeSmc.disableShmCache && ++answers < 1_000_000 ? smcRegisters(0, 0, 0x7777) : undefined,
      },
    },
  });
  expect(said).toEqual([expect.stringMatching(/DISABLE_SHM_CACHE.*gives back more/)]);
  const session = await tee.openContext().openSession(pseudoTa.uuid);
  expect(await session.invoke(Command.add, [value.inout(1, 1)])).toEqual([{ a: 2, b: 1 }]);
  await tee.close();
  expect(answers).toBeLessThan(100_000);
});
