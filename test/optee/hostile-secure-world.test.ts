import { describe, expect, it } from 'vitest';
import { openTee, TeecError, TeeResult, temporary, value } from '../../src/index.js';
import { type SmcRegisters, smcRegisters } from '../../src/protocol/conduit.js';
import { type MsgArg, OpteeMsgAttr, OpteeMsgCmd } from '../../src/protocol/optee-msg.js';
import { RpcCommand, RpcNotification, RpcShmType } from '../../src/protocol/optee-rpc-command.js';
import { isFastCall, OpteeSmc, rpcReturn, upper32 } from '../../src/protocol/optee-smc.js';
import type { Faults } from '../../src/worlds/simulated/index.js';
import { Command, pseudoTa } from '../support/applications.js';

/** A secure world that misbehaves while `armed`, and what the driver noted of it. */
async function hostile(faults: (armed: () => boolean) => Faults, simulated = {}) {
  let armed = false;
  const tee = await openTee({
    trustedApplications: [pseudoTa],
    simulated: { ...simulated, faults: faults(() => armed) },
  });
  const violations: string[] = [];
  tee.trace.listen((event) => {
    if (event.type === 'protocol-violation') violations.push(event.what);
  });
  const context = tee.openContext();
  const session = await context.openSession(pseudoTa.uuid);
  return {
    tee,
    context,
    session,
    violations,
    /** Do something while secure world misbehaves; then see that the driver still works and has lost nothing. */
    async during<T>(attempt: () => Promise<T>): Promise<T | TeecError> {
      const before = tee.sharedMemoryInUse;
      armed = true;
      const outcome = await attempt().catch((error: unknown) => {
        if (error instanceof TeecError) return error;
        throw error;
      });
      armed = false;
      expect(await session.invoke(Command.add, [value.inout(1, 1)])).toEqual([{ a: 2, b: 1 }]);
      expect(tee.sharedMemoryInUse).toBe(before);
      expect(tee.queueState().counters.normal_in_flight).toBe(0);
      await tee.close();
      expect(tee.sharedMemoryInUse).toBe(0);
      return outcome;
    },
  };
}

const add = [value.inout(1, 1)] as const;

describe('a secure world that answers a call incorrectly', () => {
  it.each<[string, Partial<SmcRegisters>, RegExp]>([
    [
      'EBADADDR',
      { a0: 4 },
      /secure world refused CALL_WITH_RPC_ARG with return code EBADADDR \(0x4: the message is not in shared memory\)/,
    ],
    ['EBADCMD', { a0: 5 }, /return code EBADCMD \(0x5: the message is malformed\)/],
    ['a code that does not exist', { a0: 0x1234 }, /return code 0x1234, which OP-TEE does not define/],
    [
      'an unknown function',
      { a0: 0xffff_ffff },
      /return code UNKNOWN_FUNCTION \(0xffffffff: this OP-TEE does not know the function\)/,
    ],
  ])('%s gives a COMMUNICATION error that says so', async (_, answer, message) => {
    const { during, session } = await hostile((armed) => ({
      smc: (call) => (armed() && !isFastCall(call.a0) ? { ...smcRegisters(0), ...answer } : undefined),
    }));
    const error = await during(() => session.invoke(Command.add, add));
    expect(error).toEqual(
      expect.objectContaining({ code: TeeResult.ERROR_COMMUNICATION, message: expect.stringMatching(message) }),
    );
  });

  it.each<[string, (message: MsgArg) => void, RegExp]>([
    [
      'an attribute that was not sent',
      (message) => message.setParam(0, OpteeMsgAttr.rmemInput, 0, 0, 0),
      /sent with attribute 0x3 and returned with 0x5/,
    ],
    [
      'an attribute beyond 32 bits',
      (message) => message.setParam(0, 2 ** 40, 0, 0, 0),
      /returned with one beyond 32 bits/,
    ],
    [
      'an origin that does not exist',
      (message) => {
        message.ret = 0xffff_0000;
        message.retOrigin = 77;
      },
      /origin 77/,
    ],
  ])('%s gives a COMMUNICATION error that says so', async (_, corrupt, message) => {
    const { during, session } = await hostile((armed) => ({
      answer: (arg) => {
        if (armed()) corrupt(arg);
      },
    }));
    const error = await during(() => session.invoke(Command.add, add));
    expect(error).toEqual(
      expect.objectContaining({ code: TeeResult.ERROR_COMMUNICATION, message: expect.stringMatching(message) }),
    );
  });

  it('a refusal of shared memory is reported with its size', async () => {
    const { during, context } = await hostile((armed) => ({
      answer: (arg) => {
        if (armed() && arg.cmd === OpteeMsgCmd.registerShm) arg.ret = TeeResult.ERROR_BAD_PARAMETERS;
      },
    }));
    const error = await during(() => context.allocateSharedMemory(3 * 2 ** 20));
    expect(String(error)).toMatch(
      /registering 3145728 bytes of shared memory: secure world answered ERROR_BAD_PARAMETERS: /,
    );
  });

  it('a memref size beyond its buffer discloses no other data', async () => {
    const { during, session } = await hostile((armed) => ({
      answer: (arg) => {
        if (armed() && arg.cmd === OpteeMsgCmd.invokeCommand) arg.setB(1, 2 ** 31);
      },
    }));
    const buffer = new Uint8Array(16);
    // Temporary memory is kept between calls: have it now, so that `during` counts the same before and after.
    await session.invoke(Command.fill, [value.input(0), temporary.output(buffer)]);
    await during(() => session.invoke(Command.fill, [value.input(4), temporary.output(buffer)]));
    // What the TA wrote, and nothing else of the shared memory that it lay in.
    expect(buffer).toEqual(Uint8Array.from({ length: 16 }, (_, index) => (index < 4 ? 0xa5 : 0)));
  });

  it('the number of an open session is refused, and that session keeps working', async () => {
    let first = 0;
    const { during, context, session, violations } = await hostile((armed) => ({
      answer: (arg) => {
        if (armed() && arg.cmd === OpteeMsgCmd.openSession) arg.session = first;
      },
    }));
    first = session.id;
    const error = await during(() => context.openSession(pseudoTa.uuid));
    expect(error).toEqual(expect.objectContaining({ code: TeeResult.ERROR_COMMUNICATION }));
    expect(violations).toEqual([`secure world opened session ${first}, which is already open`]);
  });

  it('the memory of a refused registration is released', async () => {
    const { during, context } = await hostile((armed) => ({ refuseMemory: () => armed() }));
    const error = await during(() => context.allocateSharedMemory(10_000));
    expect(error).toEqual(expect.objectContaining({ code: TeeResult.ERROR_COMMUNICATION }));
  });
});

describe('a secure world that makes an invalid request', () => {
  /** Asks for one RPC, then returns. */
  async function senseless(registers: Partial<SmcRegisters>) {
    const answers: SmcRegisters[] = [];
    let asked = false;
    const world = await hostile(
      (armed) => ({
        smc: (call) => {
          if (!armed() || isFastCall(call.a0)) return undefined;
          if (asked) {
            answers.push(call);
            return smcRegisters(0);
          }
          asked = true;
          return { ...smcRegisters(0), ...registers };
        },
      }),
      { rpcArg: false },
    );
    return { ...world, answers };
  }

  it.each<[string, Partial<SmcRegisters>, RegExp]>([
    ['a function that does not exist', { a0: rpcReturn(99) }, /RPC function 0x63 is not known/],
    [
      'memory to free that it does not hold',
      { a0: rpcReturn(2), a1: 0xdead, a2: 0xbeef },
      /frees memory 0xdead0000beef/,
    ],
    [
      'a message in memory that it does not hold',
      { a0: rpcReturn(5), a1: 1, a2: 0x7777 },
      /RPC message in memory 0x100007777/,
    ],
  ])('%s is reported, and the thread is resumed', async (_, registers, violation) => {
    const { during, session, violations, answers } = await senseless(registers);
    await during(() => session.invoke(Command.add, add));
    expect(answers[0]?.a0).toBe(OpteeSmc.returnFromRpc);
    expect(violations).toEqual([expect.stringMatching(violation)]);
  });

  it.each([0, 2 ** 31, 0xffff_ffff])('an allocation of %d bytes is answered with no memory', async (size) => {
    const { during, session, answers } = await senseless({ a0: rpcReturn(0), a1: size, a3: 5, a6: 6, a7: 7 });
    await during(() => session.invoke(Command.add, add));
    expect(answers).toEqual([{ ...smcRegisters(OpteeSmc.returnFromRpc), a3: 5, a6: 6, a7: 7 }]);
  });

  it('ETHREAD_LIMIT in answer to a resume ends the call, which is not repeated', async () => {
    let made = 0;
    const { during, session } = await hostile((armed) => ({
      smc: (call) => {
        if (!armed() || isFastCall(call.a0)) return undefined;
        if (call.a0 === OpteeSmc.returnFromRpc) return smcRegisters(1);
        made++;
        return smcRegisters(made === 1 ? rpcReturn(4) : 0);
      },
    }));
    const error = await during(() => session.invoke(Command.add, add));
    expect(error).toEqual(
      expect.objectContaining({
        code: TeeResult.ERROR_COMMUNICATION,
        message: expect.stringMatching(/refused RETURN_FROM_RPC with return code ETHREAD_LIMIT \(0x1/),
      }),
    );
    expect(made).toBe(1);
  });

  it('memory that it frees twice is freed once', async () => {
    let cookie = { a1: 0, a2: 0 };
    let step = 0;
    const { during, session, violations } = await hostile((armed) => ({
      smc: (call) => {
        if (!armed() || isFastCall(call.a0)) return undefined;
        switch (step++) {
          case 0:
            return smcRegisters(rpcReturn(0), 512);
          case 1:
            cookie = { a1: call.a4, a2: call.a5 };
            return { ...smcRegisters(rpcReturn(2)), ...cookie };
          case 2:
            return { ...smcRegisters(rpcReturn(2)), ...cookie };
          default:
            return smcRegisters(0);
        }
      },
    }));
    await during(() => session.invoke(Command.add, add));
    expect(cookie.a1).toBe(upper32(0x1_0000_0001));
    expect(violations).toEqual([expect.stringMatching(/which it does not have/)]);
  });
});

describe('an invalid RPC message', () => {
  const { none, valueInput, valueOutput, tmemInput, rmemOutput } = OpteeMsgAttr;
  type Write = (message: MsgArg) => void;
  const params =
    (cmd: number, ...list: readonly (readonly [number, number?, number?, number?])[]): Write =>
    (message) => {
      message.reset(list.length);
      message.cmd = cmd;
      for (const [index, [attr, a = 0, b = 0, c = 0]] of list.entries()) message.setParam(index, attr, a, b, c);
    };

  it.each<[string, Write, number]>([
    [
      'with more parameters than room',
      (message) => {
        message.paramCount = 1000;
      },
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
    ['GET_TIME without a parameter', params(RpcCommand.getTime), TeeResult.ERROR_BAD_PARAMETERS],
    ['GET_TIME into an input', params(RpcCommand.getTime, [valueInput]), TeeResult.ERROR_BAD_PARAMETERS],
    ['SUSPEND without a time', params(RpcCommand.suspend, [none]), TeeResult.ERROR_BAD_PARAMETERS],
    [
      'NOTIFICATION of an unknown kind',
      params(RpcCommand.notification, [valueInput, 7]),
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
    [
      'a wait for a value out of range',
      params(RpcCommand.notification, [valueInput, RpcNotification.wait, 0x43]),
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
    [
      'a notification out of range',
      params(RpcCommand.notification, [valueInput, RpcNotification.send, 0xffff_ffff]),
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
    [
      'a notification out of range below its upper half, which Linux cuts off',
      params(RpcCommand.notification, [valueInput, RpcNotification.send, 2 ** 40 + 300]),
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
    [
      'a notification in range below its upper half, which Linux cuts off',
      params(RpcCommand.notification, [valueInput, RpcNotification.send, 2 ** 40 + 3]),
      TeeResult.SUCCESS,
    ],
    [
      'a wait that runs out',
      params(RpcCommand.notification, [valueInput, RpcNotification.wait, 5, 1]),
      TeeResult.ERROR_TIMEOUT,
    ],
    ['SHM_ALLOC of an unknown type', params(RpcCommand.shmAlloc, [valueInput, 9, 100]), TeeResult.ERROR_BAD_PARAMETERS],
    ['SHM_ALLOC with an output', params(RpcCommand.shmAlloc, [valueOutput]), TeeResult.ERROR_BAD_PARAMETERS],
    [
      'SHM_ALLOC with two parameters',
      params(RpcCommand.shmAlloc, [valueInput, 1, 100], [valueInput]),
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
    [
      'SHM_ALLOC of more than there is',
      params(RpcCommand.shmAlloc, [valueInput, RpcShmType.kernel, 2 ** 40]),
      TeeResult.ERROR_OUT_OF_MEMORY,
    ],
    [
      'SHM_ALLOC of more than the supplicant has',
      params(RpcCommand.shmAlloc, [valueInput, RpcShmType.appl, 2 ** 52]),
      TeeResult.ERROR_OUT_OF_MEMORY,
    ],
    [
      'SHM_FREE of what it does not hold',
      params(RpcCommand.shmFree, [valueInput, RpcShmType.kernel, 0x1_0000_0001]),
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
    ['SHM_FREE of an unknown type', params(RpcCommand.shmFree, [valueInput, 9, 1]), TeeResult.ERROR_BAD_PARAMETERS],
    ['LOAD_TA without parameters', params(RpcCommand.loadTa), TeeResult.ERROR_BAD_PARAMETERS],
    [
      'LOAD_TA into memory that does not exist',
      params(RpcCommand.loadTa, [valueInput], [rmemOutput, 0, 100, 0x7777]),
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
    ['an unknown attribute', params(RpcCommand.fs, [0x4]), TeeResult.ERROR_BAD_PARAMETERS],
    ['an unknown memory attribute', params(RpcCommand.fs, [0xd]), TeeResult.ERROR_BAD_PARAMETERS],
    ['a meta parameter', params(RpcCommand.fs, [valueInput | 0x100]), TeeResult.ERROR_BAD_PARAMETERS],
    [
      'memory at an address outside its buffer',
      params(RpcCommand.fs, [tmemInput, 0x1234, 8, 0x1_0000_0001]),
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
    [
      'a size beyond every memory',
      params(RpcCommand.fs, [rmemOutput, 0, 2 ** 63, 0x1_0000_0001]),
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
    ['a file operation that does not exist', params(RpcCommand.fs, [valueInput, 99]), TeeResult.ERROR_BAD_PARAMETERS],
    ['I2C, which is not there', params(RpcCommand.i2cTransfer), TeeResult.ERROR_NOT_SUPPORTED],
    ['a command that nobody serves', params(4711), TeeResult.ERROR_NOT_SUPPORTED],
  ])('%s is answered, and the call continues', async (_, write, result) => {
    let message: MsgArg | undefined;
    let answer: number | undefined;
    const { during, session } = await hostile((armed) => ({
      smc: (call) => {
        if (call.a0 === OpteeSmc.returnFromRpc) answer ??= message?.ret;
        return undefined;
      },
      rpc: (request) => {
        if (armed() && request.message !== undefined && message === undefined) {
          message = request.message;
          write(message);
        }
        return undefined;
      },
    }));
    await during(() => session.invoke(Command.ask));
    expect(answer).toBe(result);
  });
});

describe('a secure world that dies', () => {
  it('ends every call with COMMUNICATION, also later ones, and the TEE can be closed', async () => {
    let dead = false;
    const tee = await openTee({
      trustedApplications: [pseudoTa],
      simulated: {
        faults: {
          smcReturn: () => {
            if (dead) throw new Error('gone');
            return undefined;
          },
        },
      },
    });
    const session = await tee.openContext().openSession(pseudoTa.uuid);
    dead = true;
    await expect(session.invoke(Command.add, add)).rejects.toThrow(/gone/);
    await tee.close().catch(() => undefined);
  });
});
