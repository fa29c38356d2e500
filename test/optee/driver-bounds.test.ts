import { describe, expect, it } from 'vitest';
import { openTee, openWorld, RpcCommand, type Tee, TeeResult, trustedApplication, value } from '../../src/index.js';
import { MsgArg, msgArgSize, OpteeMsgAttr } from '../../src/protocol/optee-msg.js';
import { OpteeSmc } from '../../src/protocol/optee-smc.js';
import { secureWorldBut } from '../../src/protocol/secure-world.js';
import type { TeeContext } from '../../src/tee/tee-context.js';
import type { TeeParam, TeeValueParam } from '../../src/tee/tee-param.js';
import { type Faults, SimulatedWorld } from '../../src/testing.js';

const uuid = '3b6e2f60-6c0b-4a8e-9d1c-2f1f6a3f8a11';
const Command = { add: 1, ask: 2, stand: 3 } as const;

/** Opens a TEE whose TA can be made to stand still. */
async function open(simulated: ConstructorParameters<typeof SimulatedWorld>[0] = {}, settings = {}) {
  let goOn = () => {};
  const gate = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const ta = trustedApplication({
    uuid,
    kind: 'pseudo',
    concurrent: true,
    create: () => ({
      async invokeCommand(call) {
        if (call.command === Command.stand) await gate;
        else if (call.command === Command.ask) return call.rpc(RpcCommand.plugin, []);
        else call.value(0).a += call.value(0).b;
        return undefined;
      },
    }),
  });
  const tee = await openTee({ trustedApplications: [ta], simulated, ...settings });
  return { tee, goOn: () => goOn(), session: await tee.openContext().openSession(uuid) };
}

describe('messages of calls', () => {
  it.each([
    ['registered pages', {}],
    ['pages of RAM, one a message', { rpcArg: false }],
  ])('are in %s if reserved memory is used up, also for system calls', async (_, simulated) => {
    // Room for one page of messages.
    const reservedShm = { base: 0x4200_0000, size: 4096 };
    const { tee, session, goOn } = await open({ reservedShm, ...simulated });
    const system = await tee.openKernelContext().openSession(uuid);
    expect(system.systemSession()).toBe(true);
    const calls = Array.from({ length: 60 }, () => session.invoke(Command.stand));
    const late = [system.invoke(Command.add, [value.inout(1, 2)]), session.invoke(Command.add, [value.inout(3, 4)])];
    goOn();
    await Promise.all(calls);
    expect((await Promise.all(late)).map(([{ a }]) => a)).toEqual([3, 7]);
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  });

  it('are refused when there is no other memory', async () => {
    const { tee, session, goOn } = await open({ reservedShm: { base: 0x4200_0000, size: 4096 }, dynamicShm: false });
    const calls = await Promise.allSettled([
      ...Array.from({ length: 60 }, () => {
        const call = session.invoke(Command.stand);
        return call;
      }),
      Promise.resolve().then(goOn),
    ]);
    const refused = calls.flatMap((call) => (call.status === 'rejected' ? [call.reason] : []));
    expect(refused.length).toBeGreaterThan(0);
    for (const error of refused) expect(error.code).toBe(TeeResult.ERROR_OUT_OF_MEMORY);
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  });

  it('are read with the number of parameters that was sent, even if secure world changes it', async () => {
    for (const abi of ['smc', 'ffa'] as const) {
      let count: number | undefined;
      const faults: Faults = {
        message: (message) => {
          // Between the driver's writing and its looking again.
          if (count !== undefined) message.paramCount = count;
        },
        smc: () => undefined,
      };
      const { tee, session } = await open({ abi, faults });
      for (count of [0xffff_ffff, 127, 5, 0]) {
        await session.invoke(Command.add, [value.inout(1, 1)]).catch((error) => {
          expect(error.name).toBe('TeecError');
        });
      }
      count = undefined;
      expect(await session.invoke(Command.add, [value.inout(1, 1)])).toEqual([{ a: 2, b: 1 }]);
      await tee.close();
    }
  });
});

describe('a reference of secure world to no memory', () => {
  const references = [OpteeMsgAttr.tmemInput, OpteeMsgAttr.tmemOutput, OpteeMsgAttr.tmemInout, OpteeMsgAttr.rmemOutput];

  it.each([1, 2 ** 31, 2 ** 32 - 1, 2 ** 50, 2 ** 63])('of %d bytes reaches no service', async (size) => {
    for (const attr of references) {
      let served = 0;
      let result = 0;
      const { tee, session } = await open(
        {
          faults: {
            rpc: ({ message }) => {
              message?.reset(1);
              if (message !== undefined) message.cmd = RpcCommand.plugin;
              message?.setParam(0, attr, 0, size, 0);
              return undefined;
            },
            answer: () => undefined,
          },
        },
        { supplicant: { services: new Map([[RpcCommand.plugin, () => ++served]]) } },
      );
      result = await session.invoke(Command.ask).then(
        () => 0,
        (error) => error.code,
      );
      expect([served, result]).toEqual([0, TeeResult.ERROR_BAD_PARAMETERS]);
      await tee.close();
    }
  });
});

describe('words of 64 bits', () => {
  it('are passed to secure world and back unchanged', async () => {
    const words = [0xffff_ffff_ffff_ffffn, 0x8000_0000_0000_0001n, 0x0020_0000_0000_0001n];
    const octets = new Uint8Array(24);
    words.forEach((word, index) => {
      new DataView(octets.buffer).setBigUint64(index * 8, word, true);
    });
    let seen: Uint8Array | undefined;
    const { tee, session } = await open({
      faults: {
        message: (message) => {
          if (message.func === Command.add) seen = message.octets(0).slice();
        },
        // OP-TEE gives TAs 32 bits; what stands in the message stays there.
        answer: (message) => {
          if (message.func === Command.add) message.octets(0).set(octets);
        },
      },
    });
    void session;
    const context = tee.device.openContext('raw', false, { uid: 0, gid: 0, groups: [] });
    const opened = await tee.device.openSession(context, uuid, { login: 'public' }, []);
    const param: TeeValueParam = { type: 'value', direction: 'inout', a: 2 ** 64, b: 2 ** 63, c: 2 ** 53, octets };
    const params: TeeParam[] = [param];
    await tee.device.invoke(context, { session: opened.session, command: Command.add, cancelId: 0 }, params);
    expect(seen).toEqual(octets);
    expect(param.octets).toEqual(octets);
    await tee.device.closeContext(context);
    await tee.close();
  });
});

describe('probing', () => {
  const uncached = (options: ConstructorParameters<typeof SimulatedWorld>[0]) => {
    const world = new SimulatedWorld(options);
    return secureWorldBut(world, {
      conduit: {
        smc: (registers) => {
          const answer = world.smc(registers);
          return registers.a0 === OpteeSmc.getShmConfig && !(answer instanceof Promise) ? { ...answer, a3: 0 } : answer;
        },
      },
    });
  };

  it('ignores reserved memory that is not cached if there is dynamic memory', async () => {
    const tee = await openWorld(uncached({}));
    expect(tee.info.reservedShm).toBeUndefined();
    await tee.close();
    await expect(openWorld(uncached({ dynamicShm: false }))).rejects.toThrow(/cache setting 0/);
  });

  it('uses no cookie of an earlier driver in the same world', async () => {
    const ids: number[] = [];
    const world = new SimulatedWorld({});
    const shared = secureWorldBut(world, { [Symbol.asyncDispose]: async () => undefined });
    for (let driver = 0; driver < 2; driver++) {
      const tee: Tee = await openWorld(shared);
      const context: TeeContext = tee.device.openContext('raw', false, { uid: 0, gid: 0, groups: [] });
      for (let count = 0; count < 5; count++) ids.push((await tee.device.allocateShm(context, 100)).id);
      await tee.close();
    }
    expect(new Set(ids).size).toBe(10);
    await world[Symbol.asyncDispose]();
  });
});

describe('a message', () => {
  it('has its 32-bit words whatever the upper halves contain', () => {
    const message = new MsgArg(new Uint8Array(msgArgSize(1)));
    message.octets(0).fill(0xff);
    new DataView(message.octets(0).buffer).setUint32(32 + 8, 7, true);
    expect([message.a32(0), message.b32(0), message.c32(0)]).toEqual([7, 0xffff_ffff, 0xffff_ffff]);
  });
});
