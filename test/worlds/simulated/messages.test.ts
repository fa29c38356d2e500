import { describe, expect, test } from 'vitest';
import { smcRegisters } from '../../../src/protocol/conduit.js';
import { attrMeta, attrNoncontig, LoginClass, OpteeMsgAttr, OpteeMsgCmd } from '../../../src/protocol/optee-msg.js';
import { OpteeSmc, OpteeSmcReturn } from '../../../src/protocol/optee-smc.js';
import { TeeOrigin, TeeResult } from '../../../src/protocol/tee-result.js';
import { nilUuid, uuidOctets } from '../../../src/protocol/uuid.js';
import { trustedApplication, WorkloadCommand, workloadPta } from '../../../src/worlds/simulated/index.js';
import { board } from './board.js';
import type { Param } from './normal-world.js';
import { value } from './normal-world.js';

/** Reports what it was given: identity at open; for an invoke, what each parameter is. */
const mirror = trustedApplication({
  uuid: '00000000-0000-0000-0000-0000000000b1',
  name: 'mirror',
  kind: 'pseudo',
  create: () => ({
    openSession(call) {
      const first = call.parameters[0];
      if (first?.type !== 'memref') return;
      first.write(uuidOctets(call.client.uuid));
      first.size = 16;
    },
    invokeCommand(call) {
      for (const parameter of call.parameters) {
        if (parameter?.type === 'value') [parameter.a, parameter.b] = [parameter.b, parameter.a];
        if (parameter?.type === 'memref' && !parameter.isNull)
          parameter.write(parameter.read().map((byte) => byte + 1));
        if (parameter?.type === 'memref') parameter.size = parameter.isNull ? 77 : parameter.capacity;
      }
    },
  }),
});
const applications = { trustedApplications: [mirror, workloadPta] };
const badParameters = { ret: TeeResult.ERROR_BAD_PARAMETERS, retOrigin: TeeOrigin.TEE };

describe('OPEN_SESSION', () => {
  const client = '12345678-9abc-4def-8123-456789abcdef';

  test.each([
    ['public', LoginClass.public, nilUuid],
    ['the kernel', LoginClass.reeKernel, nilUuid],
    ['user', LoginClass.user, client],
    ['group', LoginClass.group, client],
    ['application', LoginClass.application, client],
    ['application user', LoginClass.applicationUser, client],
    ['application group', LoginClass.applicationGroup, client],
  ])('of %s gives the application its client UUID', async (_, login, uuid) => {
    const { normal, world } = board(applications);
    const buffer = normal.allocate();
    const memref = { attr: OpteeMsgAttr.tmemOutput, a: buffer, b: 64 };
    const { address, message } = normal.openMessage(mirror.uuid, [memref], login, client);
    await normal.call(address);
    expect(message).toMatchObject({ ret: TeeResult.SUCCESS, retOrigin: TeeOrigin.TRUSTED_APP, session: 1 });
    expect(message.b(2)).toBe(16);
    expect(world.memory.window(buffer, 16)).toEqual(uuidOctets(uuid));
  });

  const meta = attrMeta | OpteeMsgAttr.valueInput;
  const uuid: Param = { attr: meta, octets: uuidOctets(mirror.uuid) };
  const badLogin = new Uint8Array(24).fill(0xff);
  test.each<[string, Param[]]>([
    ['no parameters', []],
    ['one parameter', [uuid]],
    ['a first parameter without META', [{ ...uuid, attr: OpteeMsgAttr.valueInput }, { attr: meta }]],
    ['a second parameter that is an output', [uuid, { attr: attrMeta | OpteeMsgAttr.valueOutput }]],
    ['an unknown login class', [uuid, { attr: meta, octets: badLogin }]],
    ['a third META parameter', [uuid, { attr: meta }, { attr: meta }]],
    ['five parameters for the application', [uuid, { attr: meta }, value(), value(), value(), value(), value()]],
  ])('with %s gets BAD_PARAMETERS', async (_, params) => {
    const { normal, world } = board(applications);
    const { address, message } = normal.message(OpteeMsgCmd.openSession, params);
    message.session = 99;
    expect(await normal.call(address)).toMatchObject({ a0: OpteeSmcReturn.ok });
    expect(message).toMatchObject({ ...badParameters, session: 0 });
    expect(world.sessionCount).toBe(0);
  });
});

describe('a session that does not exist', () => {
  test('is not invoked, cancelled or closed', async () => {
    const { normal } = board(applications);
    await normal.open(mirror.uuid);
    expect(await normal.invoke(7, 0)).toMatchObject(badParameters);
    expect(await normal.invoke(0, 0)).toMatchObject(badParameters);
    const cancel = normal.message(OpteeMsgCmd.cancel, []);
    cancel.message.session = 7;
    await normal.call(cancel.address);
    expect(cancel.message).toMatchObject(badParameters);
    expect(await normal.close(7)).toMatchObject({ ret: TeeResult.ERROR_ITEM_NOT_FOUND, retOrigin: TeeOrigin.TEE });
  });

  test('is not one that was closed', async () => {
    const { normal } = board(applications);
    const session = await normal.open(mirror.uuid);
    await normal.close(session);
    expect((await normal.close(session)).ret).toBe(TeeResult.ERROR_ITEM_NOT_FOUND);
    expect(await normal.invoke(session, 0)).toMatchObject(badParameters);
  });

  test.each([OpteeMsgCmd.closeSession, OpteeMsgCmd.cancel])('command %i takes no parameters', async (command) => {
    const { normal, world } = board(applications);
    const session = await normal.open(mirror.uuid);
    const { address, message } = normal.message(command, [value()]);
    message.session = session;
    await normal.call(address);
    expect(message).toMatchObject(badParameters);
    expect(world.sessionCount).toBe(1);
  });
});

describe('parameters of an invoke', () => {
  test('values go in and out by their direction, and value.c is left as it is', async () => {
    const { normal } = board(applications);
    const session = await normal.open(mirror.uuid);
    const directions = [OpteeMsgAttr.valueInput, OpteeMsgAttr.valueOutput, OpteeMsgAttr.valueInout];
    const params = directions.map((attr) => ({ attr, a: 1, b: 2, c: 3 }));
    const message = await normal.invoke(session, 0, params);
    expect(params.map((_, index) => [message.a(index), message.b(index), message.c(index)])).toEqual([
      [1, 2, 3],
      [2, 1, 3],
      [2, 1, 3],
    ]);
  });

  test('values are cut to 32 bits', async () => {
    const { normal } = board(applications);
    const session = await normal.open(mirror.uuid);
    const octets = new Uint8Array(24).fill(0xfe);
    const { address, message } = normal.invokeMessage(session, 0, [{ attr: OpteeMsgAttr.valueInout, octets }]);
    await normal.call(address);
    expect([message.a(0), message.b(0)]).toEqual([0xfefe_fefe, 0xfefe_fefe]);
  });

  test('a memref in the reserved memory is live', async () => {
    const { normal, world } = board(applications);
    const session = await normal.open(mirror.uuid);
    const buffer = normal.allocate();
    const message = await normal.invoke(session, 0, [{ attr: OpteeMsgAttr.tmemInout, a: buffer + 8, b: 4 }]);
    expect(message).toMatchObject({ ret: TeeResult.SUCCESS });
    expect([...world.memory.window(buffer + 7, 6)]).toEqual([0, 1, 1, 1, 1, 0]);
  });

  test('a null memref is passed to the application as one', async () => {
    const { normal } = board(applications);
    const session = await normal.open(mirror.uuid);
    const message = await normal.invoke(session, 0, [{ attr: OpteeMsgAttr.tmemOutput, a: 0, b: 500 }]);
    expect([message.ret, message.b(0)]).toEqual([TeeResult.SUCCESS, 77]);
  });

  test('a null memref is refused if it is disabled', async () => {
    const { normal } = board({ ...applications, memrefNull: false });
    const session = await normal.open(mirror.uuid);
    expect(await normal.invoke(session, 0, [{ attr: OpteeMsgAttr.tmemOutput }])).toMatchObject(badParameters);
  });

  test('a temporary page list is a memref, and is released after the call', async () => {
    const { normal, world } = board(applications);
    const session = await normal.open(mirror.uuid);
    const list = normal.allocate();
    world.memory.window(list, 8).set(new Uint8Array(new BigUint64Array([0x4100_3000n]).buffer));
    const attr = OpteeMsgAttr.tmemInout | attrNoncontig;
    const message = await normal.invoke(session, 0, [{ attr, a: list + 0x10, b: 4, c: 0x99 }]);
    expect(message.ret).toBe(TeeResult.SUCCESS);
    expect([...world.memory.window(0x4100_300f, 6)]).toEqual([0, 1, 1, 1, 1, 0]);
    expect(world.sharedMemoryCount).toBe(0);
  });

  const { tmemInput, rmemInput } = OpteeMsgAttr;
  test.each<[string, Param, number]>([
    ['META', { attr: attrMeta | OpteeMsgAttr.valueInput }, TeeResult.ERROR_BAD_PARAMETERS],
    ['attribute 4', { attr: 4 }, TeeResult.ERROR_BAD_PARAMETERS],
    ['attribute 8', { attr: 8 }, TeeResult.ERROR_BAD_PARAMETERS],
    ['attribute 12', { attr: 12 }, TeeResult.ERROR_BAD_PARAMETERS],
    ['attribute 0xff', { attr: 0xff }, TeeResult.ERROR_BAD_PARAMETERS],
    ['attribute above 32 bits', { attr: 2 ** 32 + 1 }, TeeResult.ERROR_BAD_PARAMETERS],
    ['memory outside the reserved', { attr: tmemInput, a: 0x4100_0000, b: 8 }, TeeResult.ERROR_BAD_PARAMETERS],
    ['memory over its end', { attr: tmemInput, a: 0x421f_fff8, b: 16 }, TeeResult.ERROR_BAD_PARAMETERS],
    ['an address above 2^53', { attr: tmemInput, a: 2 ** 60, b: 8 }, TeeResult.ERROR_BAD_PARAMETERS],
    ['a size above 2^53', { attr: tmemInput, a: 0x4200_0000, b: 2 ** 63 }, TeeResult.ERROR_BAD_PARAMETERS],
    [
      'a page list in secure memory',
      { attr: tmemInput | attrNoncontig, a: 0x0e10_0000, b: 8 },
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
    ['an unknown cookie', { attr: rmemInput, c: 0x78, b: 8 }, TeeResult.ERROR_BAD_PARAMETERS],
    ['a size over the registration', { attr: rmemInput, c: 0x77, a: 1, b: 4096 }, TeeResult.ERROR_SECURITY],
    ['an offset over the registration', { attr: rmemInput, c: 0x77, a: 4097, b: 0 }, TeeResult.ERROR_SECURITY],
    ['an offset that overflows', { attr: rmemInput, c: 0x77, a: 2 ** 64 - 2 ** 11, b: 4096 }, TeeResult.ERROR_SECURITY],
  ])('with %s are refused, and hold nothing', async (_, param, ret) => {
    const { normal, world } = board(applications);
    const session = await normal.open(mirror.uuid);
    await normal.register([0x4100_0000], 0x77);
    const message = await normal.invoke(session, 0, [value(1, 2), { attr: rmemInput, c: 0x77, b: 8 }, param]);
    expect(message).toMatchObject({ ret, retOrigin: TeeOrigin.TEE });
    expect(message.a(0)).toBe(1);
    // Nothing was held: the memory can be released, and the session still works.
    expect((await normal.unregister(0x77)).ret).toBe(TeeResult.SUCCESS);
    expect(world.sharedMemoryCount).toBe(0);
    expect((await normal.invoke(session, 0, [value(1, 2)])).a(0)).toBe(2);
  });

  test('registered memory requires dynamic shared memory', async () => {
    const { normal } = board({ ...applications, dynamicShm: false });
    const session = await normal.open(mirror.uuid);
    expect(await normal.invoke(session, 0, [{ attr: rmemInput, c: 1 }])).toMatchObject(badParameters);
    const noncontig = { attr: tmemInput | attrNoncontig, a: 0x4200_0000, b: 8 };
    expect(await normal.invoke(session, 0, [noncontig])).toMatchObject(badParameters);
  });
});

describe('REGISTER_SHM', () => {
  test('accepts more pages than fit on one page of the list', async () => {
    const { normal, world } = board(applications);
    const count = 600;
    const pages = Array.from({ length: count }, (_, index) => 0x4300_0000 - (index + 1) * 4096);
    const [first, second] = [normal.allocate(), normal.allocate()];
    const list = (at: number, words: number[]) =>
      world.memory.window(at, words.length * 8).set(new Uint8Array(new BigUint64Array(words.map(BigInt)).buffer));
    list(first, [...pages.slice(0, 511), second]);
    list(second, pages.slice(511));
    const attr = OpteeMsgAttr.tmemOutput | attrNoncontig;
    const offset = 16;
    const { address, message } = normal.message(OpteeMsgCmd.registerShm, [
      { attr, a: first + offset, b: count * 4096 - offset, c: 5 },
    ]);
    await normal.call(address);
    expect(message.ret).toBe(TeeResult.SUCCESS);

    const session = await normal.open(mirror.uuid);
    const memref = { attr: OpteeMsgAttr.rmemInout, a: 511 * 4096 - offset, b: 1, c: 5 };
    expect((await normal.invoke(session, 0, [memref])).ret).toBe(TeeResult.SUCCESS);
    expect(world.memory.window(pages[511] ?? 0, 1)[0]).toBe(1);
  });

  const attr = OpteeMsgAttr.tmemOutput | attrNoncontig;
  test.each<[string, Param[]]>([
    ['an input', [{ attr: OpteeMsgAttr.tmemInput | attrNoncontig, a: 0x4210_0000, b: 4096, c: 5 }]],
    ['contiguous memory', [{ attr: OpteeMsgAttr.tmemOutput, a: 0x4210_0000, b: 4096, c: 5 }]],
    ['no parameter', []],
    ['two parameters', [{ attr, a: 0x4210_0000, b: 4096, c: 5 }, value()]],
    ['a size of 0', [{ attr, a: 0x4210_0000, b: 0, c: 5 }]],
    ['more than all memory', [{ attr, a: 0x4210_0000, b: 2 ** 40, c: 5 }]],
    ['a size above 2^53', [{ attr, a: 0x4210_0000, b: 2 ** 63, c: 5 }]],
    ['a list outside memory', [{ attr, a: 0x9000_0000, b: 4096, c: 5 }]],
    ['a list whose link is not aligned', [{ attr, a: 0x4210_1000, b: 600 * 4096, c: 5 }]],
    ['a page that is not aligned', [{ attr, a: 0x4210_2000, b: 4096, c: 5 }]],
    ['a page in secure memory', [{ attr, a: 0x4210_3000, b: 4096, c: 5 }]],
  ])('of %s gets BAD_PARAMETERS', async (_, params) => {
    const { normal, world } = board(applications);
    const words = (at: number, list: bigint[]) =>
      world.memory.window(at, list.length * 8).set(new Uint8Array(new BigUint64Array(list).buffer));
    words(0x4210_0000, [0x4100_0000n]);
    words(0x4210_1000, [...Array.from({ length: 511 }, () => 0x4100_0000n), 0x4210_0008n]);
    words(0x4210_2000, [0x4100_0010n]);
    words(0x4210_3000, [0x0e10_0000n]);
    const { address, message } = normal.message(OpteeMsgCmd.registerShm, params);
    expect(await normal.call(address)).toMatchObject({ a0: OpteeSmcReturn.ok });
    expect(message.ret).toBe(TeeResult.ERROR_BAD_PARAMETERS);
    expect(world.sharedMemoryCount).toBe(0);
  });

  test('a list that links to itself is refused', async () => {
    const { normal, world } = board(applications);
    const list = normal.allocate();
    const words = new BigUint64Array(512).fill(0x4100_0000n);
    words[511] = BigInt(list);
    world.memory.window(list, 4096).set(new Uint8Array(words.buffer));
    const { address, message } = normal.message(OpteeMsgCmd.registerShm, [{ attr, a: list, b: 4096 * 10_000, c: 5 }]);
    await normal.call(address);
    // The same page many times is what was asked for.
    expect(message.ret).toBe(TeeResult.SUCCESS);
  });
});

describe('UNREGISTER_SHM', () => {
  test('of a cookie that is unknown, or a second time, gets BAD_PARAMETERS', async () => {
    const { normal } = board(applications);
    await normal.register([0x4100_0000], 0x77);
    expect((await normal.unregister(0x78)).ret).toBe(TeeResult.ERROR_BAD_PARAMETERS);
    expect((await normal.unregister(0x77)).ret).toBe(TeeResult.SUCCESS);
    expect((await normal.unregister(0x77)).ret).toBe(TeeResult.ERROR_BAD_PARAMETERS);
    const { address, message } = normal.message(OpteeMsgCmd.unregisterShm, []);
    await normal.call(address);
    expect(message).toMatchObject(badParameters);
  });

  test('waits until no call uses the memory', async () => {
    const { normal, clock, finish, supplicant, world } = board(applications);
    await normal.register([0x4100_0000], 0x77);
    const session = await normal.open(workloadPta.uuid);
    const memref = { attr: OpteeMsgAttr.rmemInput, b: 8, c: 0x77 };
    const using = normal.invoke(session, WorkloadCommand.wait, [value(50, 0, OpteeMsgAttr.valueInput), memref]);
    let released = 0;
    const releasing = normal.unregister(0x77).then((message) => {
      released = clock.now();
      return message;
    });
    await finish(Promise.all([using, releasing]));
    expect((await releasing).ret).toBe(TeeResult.SUCCESS);
    expect(released).toBe(50);
    expect(supplicant.asked).toEqual(['SUSPEND', 'NOTIFICATION WAIT 65', 'NOTIFICATION SEND 65']);
    expect(world.sharedMemoryCount).toBe(0);
  });
});

test('a message in a page of its own works like one in the reserved memory', async () => {
  const { normal, world } = board({ ...applications, reservedShm: false });
  const session = await (async () => {
    const { address, message } = normal.openMessage(mirror.uuid);
    await world.smc(smcRegisters(OpteeSmc.callWithArg, 0, address));
    return message.session;
  })();
  expect((await normal.invoke(session, 0, [value(1, 2)])).a(0)).toBe(2);
  expect(world.sharedMemoryCount).toBe(0);
});
