import { expect, test } from 'vitest';
import { smcRegisters } from '../../../src/protocol/conduit.js';
import { attrNoncontig, OpteeMsgAttr, OpteeMsgCmd } from '../../../src/protocol/optee-msg.js';
import { OpteeSmc } from '../../../src/protocol/optee-smc.js';
import { TeeOrigin, TeeResult } from '../../../src/protocol/tee-result.js';
import { SimulatedWorld, trustedApplication } from '../../../src/worlds/simulated/index.js';
import { NormalWorld, value } from './normal-world.js';

const adder = trustedApplication({
  uuid: '00000000-0000-0000-0000-00000000000a',
  kind: 'pseudo',
  create: () => ({
    invokeCommand(call) {
      const first = call.parameters[0];
      if (first?.type === 'memref') {
        const bytes = first.read();
        first.write(bytes.reverse());
        first.size = 3;
      } else call.value(0).a += call.value(0).b;
    },
  }),
});

test('a session opens, is invoked with a value, and closes', async () => {
  const world = new SimulatedWorld({ trustedApplications: [adder] });
  const normal = new NormalWorld(world);
  const session = await normal.open(adder.uuid);
  const message = await normal.invoke(session, 0, [value(2, 40)]);
  expect([message.ret, message.retOrigin, message.a(0)]).toEqual([TeeResult.SUCCESS, TeeOrigin.TRUSTED_APP, 42]);
  expect((await normal.close(session)).ret).toBe(TeeResult.SUCCESS);
  expect(world.sessionCount).toBe(0);
});

test('an invoke that is not suspended is answered without a promise', async () => {
  const world = new SimulatedWorld({ trustedApplications: [adder] });
  const normal = new NormalWorld(world);
  const session = await normal.open(adder.uuid);
  const { address, message } = normal.invokeMessage(session, 0, [value(1, 1)]);
  expect(world.smc(smcRegisters(OpteeSmc.callWithArg, 0, address))).toEqual(smcRegisters(0));
  expect(message.a(0)).toBe(2);
});

test('registered memory in scattered pages is one memref to the application', async () => {
  const world = new SimulatedWorld({ trustedApplications: [adder] });
  const normal = new NormalWorld(world);
  const list = normal.allocate();
  const pages = [0x4100_5000, 0x4100_2000];
  const view = new DataView(world.memory.window(list, 4096).buffer, list - 0x4000_0000);
  for (const [index, page] of pages.entries()) view.setUint32(8 * index, page, true);
  const register = normal.message(OpteeMsgCmd.registerShm, [
    { attr: OpteeMsgAttr.tmemOutput | attrNoncontig, a: list, b: 8192, c: 0x77 },
  ]);
  await normal.call(register.address);
  expect(register.message.ret).toBe(TeeResult.SUCCESS);

  world.memory.window(0x4100_5ffe, 2).set([1, 2]);
  world.memory.window(0x4100_2000, 2).set([3, 4]);
  const session = await normal.open(adder.uuid);
  const message = await normal.invoke(session, 0, [{ attr: OpteeMsgAttr.rmemInout, a: 4094, b: 4, c: 0x77 }]);
  expect(message.ret).toBe(TeeResult.SUCCESS);
  expect([...world.memory.window(0x4100_5ffe, 2), ...world.memory.window(0x4100_2000, 2)]).toEqual([4, 3, 2, 1]);
  expect(message.b(0)).toBe(3);
});
