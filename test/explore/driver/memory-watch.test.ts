/** Who owns shared memory, as the explorer watches it: between a driver and a secure world that says yes to everything. */
import { describe, expect, it } from 'vitest';
import { MemoryWatch } from '../../../src/explore/driver/properties/memory-watch.js';
import { type SmcRegisters, smcRegisters } from '../../../src/protocol/conduit.js';
import { Ffa, writeMemoryTransaction } from '../../../src/protocol/ffa.js';
import { OpteeFfa } from '../../../src/protocol/optee-ffa.js';
import { MsgArg, msgArgSize, OpteeMsgAttr, OpteeMsgCmd } from '../../../src/protocol/optee-msg.js';
import { OpteeSmc } from '../../../src/protocol/optee-smc.js';
import { pageSize } from '../../../src/protocol/physical-memory.js';
import { secureWorldBut } from '../../../src/protocol/secure-world.js';
import { SimulatedWorld } from '../../../src/worlds/simulated/index.js';

const base = 0x4000_0000;
const mailbox = base + 0x1_0000;

/** A driver that does what the test says. */
function watched(abi: 'smc' | 'ffa') {
  const said: string[] = [];
  const seen: number[] = [];
  const watch = new MemoryWatch(
    (what) => said.push(what),
    (call) => seen.push(call),
  );
  let handles = 6;
  const yes = ({ a0 }: SmcRegisters): SmcRegisters => {
    if (a0 === Ffa.msgSendDirectReq) return smcRegisters(Ffa.msgSendDirectResp);
    return a0 === Ffa.memShare ? smcRegisters(Ffa.success, 0, ++handles) : smcRegisters(Ffa.success);
  };
  const simulated = new SimulatedWorld({
    trustedApplications: [],
    dram: { base, size: 0x10_0000 },
    reservedShm: false,
  });
  const world = watch.between(secureWorldBut(simulated, { abi, conduit: { smc: yes } }));
  const smc = (...registers: Parameters<typeof smcRegisters>) => world.conduit.smc(smcRegisters(...registers));
  const enters = (call: number) => {
    watch.listen({ type: 'world-enter', call, function: 0, time: 0 });
  };
  return {
    ...{ said, seen, smc, enters },
    back: (call: number) => watch.listen({ type: 'world-exit', call, a0: 0, time: 0 }),
    /** A message with a reference to shared memory. */
    message(address: number, memory?: number) {
      const msg = new MsgArg(world.memory.window(address, msgArgSize(1)));
      msg.reset(1);
      msg.cmd = OpteeMsgCmd.invokeCommand;
      if (memory !== undefined) msg.setParam(0, OpteeMsgAttr.rmemInout, 0, 16, memory);
    },
    share(...pages: readonly number[]): void {
      smc(Ffa.rxtxMap, mailbox, mailbox + pageSize, 1);
      const ranges = pages.map((page) => ({ base: page, size: pageSize }));
      const descriptor = writeMemoryTransaction({ sender: 0, receiver: 0x8001, ranges });
      world.memory.window(mailbox, descriptor.length).set(descriptor);
      smc(Ffa.memShare, descriptor.length, descriptor.length);
    },
    /** Enters with the message at the start of this memory. */
    calls(call: number, handle: number): void {
      enters(call);
      smc(Ffa.msgSendDirectReq, 0, 0, OpteeFfa.yieldingCallWithArg, handle, 0, 0);
    },
    forget: (handle: number) => smc(Ffa.msgSendDirectReq, 0, 0, OpteeFfa.unregisterShm, handle, 0),
    reclaim: (handle: number) => smc(Ffa.memReclaim, handle, 0),
  };
}

describe('memory over FF-A', () => {
  it('is shared, used, relinquished and reclaimed, and may be shared again', () => {
    const { said, seen, share, message, calls, back, forget, reclaim } = watched('ffa');
    share(base);
    share(base + pageSize);
    message(base, 8);
    calls(1, 7);
    back(1);
    forget(8);
    reclaim(8);
    share(base + pageSize);
    expect([said, seen]).toEqual([[], [1]]);
  });

  it('has one owner for each page', () => {
    const { said, share, forget } = watched('ffa');
    share(base, base + pageSize);
    share(base + pageSize);
    forget(7);
    // Forgotten, and not yet reclaimed.
    share(base);
    expect(said).toEqual([
      'the driver makes a page known as memory to be shared that is known as memory 7',
      'the driver makes a page known as memory to be shared that is known as memory 7',
    ]);
  });

  it('is reclaimed after secure world has relinquished it, and only once', () => {
    const { said, share, forget, reclaim } = watched('ffa');
    share(base);
    reclaim(7);
    forget(7);
    share(base + pageSize);
    forget(8);
    reclaim(8);
    reclaim(8);
    expect(said).toEqual([
      'memory 7 is reclaimed before secure world has forgotten it',
      'the driver ends memory 7, which secure world does not know',
      'memory 8 is reclaimed, which is not shared',
    ]);
  });

  it('is not relinquished while a call uses it, as a parameter or for its message', () => {
    const { said, share, message, calls, forget } = watched('ffa');
    share(base);
    share(base + pageSize);
    message(base, 8);
    calls(1, 7);
    forget(8);
    forget(7);
    expect(said).toEqual([
      'the driver ends memory 8, which call 1 has inside',
      'the driver ends memory 7, which call 1 has inside',
    ]);
  });

  it('holds the message of one call at a place, and none where another call has a parameter', () => {
    const { said, share, message, calls } = watched('ffa');
    share(base);
    share(base + pageSize);
    message(base, 8);
    calls(1, 7);
    calls(2, 7);
    message(base + pageSize);
    calls(3, 8);
    calls(4, 9);
    expect(said).toEqual([
      'call 2 enters with the message of call 1, which is inside',
      'call 3 has its message in memory 8, which call 1 has as a parameter',
      'call 3 has its message in memory 8, which call 2 has as a parameter',
      'call 4 has its message in memory 9, which secure world does not know',
    ]);
  });
});

describe('messages in registered memory', () => {
  it('are in memory that is registered with secure world', () => {
    const { said, enters, smc } = watched('smc');
    enters(1);
    smc(OpteeSmc.callWithRegdArg, 0, 5, 0);
    expect(said).toEqual(['call 1 has its message in memory 5, which secure world does not know']);
  });
});
