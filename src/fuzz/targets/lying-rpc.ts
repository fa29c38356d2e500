import type { Conduit, SmcRegisters } from '../../protocol/conduit.js';
import { MsgArg, msgArgSize, OpteeMsgAttr } from '../../protocol/optee-msg.js';
import { fromRegisterPair, isFastCall, OpteeSmc } from '../../protocol/optee-smc.js';
import type { PhysicalMemory } from '../../protocol/physical-memory.js';
import { type SecureWorld, secureWorldBut } from '../../protocol/secure-world.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { changeMessage } from '../input/change-message.js';
import type { Field, IntegerField, Step } from '../input/grammar.js';
import type { Surroundings, SurroundingsKind } from './surroundings.js';

const wide = 2 ** 64 - 2 ** 11;
const word = 2 ** 32 - 1;
const after: IntegerField = { type: 'integer', max: 120, usual: [0, 0, 0, 1, 2, 3, 4, 8, 16, 32, 64] };
const value: IntegerField = {
  type: 'integer',
  max: wide,
  usual: [
    0,
    1,
    2,
    3,
    8,
    16,
    4096,
    4097,
    2 ** 20,
    word,
    2 ** 32,
    wide,
    ...Object.values(OpteeMsgAttr),
    ...Object.values(TeeResult),
  ],
};
const rpcParams = 4;

/** Changes answers to RPCs before secure world reads them: in the message, or in the memory that it refers to. */
export const lyingRpc: SurroundingsKind = {
  steps: {
    'lie-message': {
      after,
      field: { type: 'choice', of: ['ret', 'retOrigin', 'paramCount', 'cmd', 'attr', 'a', 'b', 'c'] } satisfies Field,
      parameter: { type: 'integer', max: rpcParams - 1, usual: [0, 1] },
      value,
    },
    'lie-register': {
      after,
      /** Not a3, which selects the thread to resume. */
      register: { type: 'choice', of: ['a1', 'a2', 'a4', 'a5', 'a6', 'a7'] } satisfies Field,
      value: { type: 'integer', max: word, usual: [0, 1, 4096, 0x0e10_0000, 0x4200_0000, word] },
    },
  },
  weights: { 'lie-message': 8, 'lie-register': 1, renew: 3 },
  seeds: [
    {
      steps: [
        { kind: 'lie-message', after: 0, field: 'ret', parameter: 0, value: 0 },
        { kind: 'renew' },
        { kind: 'invoke', session: 0, command: 0, parameters: [] },
      ],
    },
  ],
  make: () => new LyingRpc(),
};

class LyingRpc implements Surroundings {
  readonly tee = {};
  private armed: { readonly step: Step; left: number }[] = [];
  /** Address of the RPC message of the call in secure world. */
  private rpcAddress: number | undefined;

  readonly between = (world: SecureWorld): SecureWorld => {
    const { conduit, memory } = world;
    const lying: Conduit = {
      smc: (registers) => {
        if (isFastCall(registers.a0)) return conduit.smc(registers);
        if (registers.a0 === OpteeSmc.returnFromRpc) return conduit.smc(this.altered(registers, memory));
        this.rpcAddress = rpcMessageOf(registers, memory);
        return conduit.smc(registers);
      },
    };
    return secureWorldBut(world, { conduit: lying });
  };

  apply(step: Step): void {
    this.armed.push({ step, left: Number(step.after) });
  }

  settle(): void {
    this.armed = [];
  }

  private altered(registers: SmcRegisters, memory: PhysicalMemory): SmcRegisters {
    let told = registers;
    for (const lie of [...this.armed]) {
      if (lie.left-- > 0) continue;
      this.armed.splice(this.armed.indexOf(lie), 1);
      const { step } = lie;
      if (step.kind === 'lie-register') told = { ...told, [String(step.register)]: Number(step.value) };
      else if (this.rpcAddress !== undefined)
        changeMessage(new MsgArg(memory.window(this.rpcAddress, msgArgSize(rpcParams))), step);
    }
    return told;
  }
}

/** Address of the RPC message of a call, which is behind its own message; undefined if it has none there. */
function rpcMessageOf({ a0, a1, a2 }: SmcRegisters, memory: PhysicalMemory): number | undefined {
  if (a0 !== OpteeSmc.callWithRpcArg) return undefined;
  const address = fromRegisterPair(a1, a2);
  return address + msgArgSize(new MsgArg(memory.window(address, msgArgSize(0))).paramCount);
}
