import type { Tee } from '../../client/tee.js';
import { VirtualClock } from '../../clock/virtual-clock.js';
import { openWorld } from '../../open-world.js';
import { ConduitError, type SmcRegisters } from '../../protocol/conduit.js';
import { MsgArg, msgArgSize, OpteeMsgCmd } from '../../protocol/optee-msg.js';
import { fromRegisterPair, OpteeSmc } from '../../protocol/optee-smc.js';
import { type SecureWorld, secureWorldBut } from '../../protocol/secure-world.js';
import { TeeOrigin, TeeResult } from '../../protocol/tee-result.js';
import { Trace } from '../../trace/trace.js';
import { trustedApplication } from '../../worlds/simulated/index.js';
import { SimulatedWorld } from '../../worlds/simulated/simulated-world.js';
import { tracedWorld } from '../../worlds/simulated/traced-world.js';
import { StateFeatures } from '../driver/state-features.js';
import { classOfCode, classOfResult, classOfReturn } from '../driver/value-class.js';
import type { Machine } from '../engine/machine.js';
import { type Verdict, withoutNumbers } from '../engine/verdict.js';

const mebibyte = 2 ** 20;
const dram = { base: 0x4000_0000, size: mebibyte };
const reservedShm = { base: 0x4008_0000, size: mebibyte / 4 };
/** Longest time of a call in secure world, in milliseconds of virtual time. */
const hangMs = 100_000;

/** Executes each command on parameters of any type, or returns BAD_PARAMETERS. */
const application = trustedApplication({
  uuid: '3f1c0d2e-5b7a-4c61-8f0d-6d1f1e0a5b03',
  kind: 'pseudo',
  concurrent: true,
  create: () => ({
    invokeCommand(call) {
      switch (call.command) {
        case 0:
          return;
        case 1: {
          const sum = call.value(0);
          sum.a += sum.b;
          return;
        }
        case 2: {
          const memory = call.memref(0);
          memory.write(memory.read().reverse());
          return;
        }
        default:
          return TeeResult.ERROR_NOT_SUPPORTED;
      }
    },
  }),
});

/**
 * The applications that messages refer to: one that exists, OP-TEE's enumeration of devices, and one that does not
 * exist.
 */
export const simulatedApplications: readonly string[] = [
  application.uuid,
  '7011a688-ddde-4053-a5a9-7b3c4ddf13b8',
  'ffffffff-0000-4000-8000-000000000000',
];

/** The name of the system under test in findings. */
export const onSimulated = 'the simulated secure world';

/** The simulated secure world on which inputs are executed. Its coverage is derived from its answers and log lines. */
export class SimulatedMachine implements Machine {
  readonly about = onSimulated;
  readonly world: SecureWorld;
  private ended: Error | undefined;
  private hung = false;
  private readonly before: number;

  private constructor(
    readonly tee: Tee,
    private readonly simulated: SimulatedWorld,
    private readonly clock: VirtualClock,
    private readonly features: StateFeatures,
  ) {
    this.world = secureWorldBut(simulated, { conduit: { smc: (call) => this.smc(call) } });
    this.before = simulated.sharedMemoryCount;
    void simulated.ended.then((error) => {
      this.ended ??= error;
    });
  }

  static async boot(): Promise<SimulatedMachine> {
    const clock = new VirtualClock();
    const trace = new Trace(clock);
    const features = new StateFeatures();
    const simulated = new SimulatedWorld({
      ...{ clock, dram, reservedShm, trustedApplications: [application] },
      ...tracedWorld(trace, undefined),
    });
    const tee = await openWorld(simulated, { clock, trace, supplicant: false });
    features.listen(trace);
    return new SimulatedMachine(tee, simulated, clock, features);
  }

  get isDead(): boolean {
    return this.ended !== undefined || this.hung;
  }

  drain(each: (feature: number, count: number) => void): void {
    this.features.drain(each);
  }

  async execute(work: () => Promise<readonly Verdict[]>): Promise<readonly Verdict[]> {
    this.features.begin();
    const verdicts = [...(await work())];
    if (this.hung) verdicts.push({ kind: 'hang', signature: 'hang: call', what: 'A call does not return' });
    else if (this.ended !== undefined) {
      const [what = ''] = this.ended.message.split('\n');
      verdicts.push({ kind: 'core-panic', signature: withoutNumbers(what), what, console: this.ended.stack ?? what });
    }
    return verdicts;
  }

  left(): readonly Verdict[] {
    const verdicts: Verdict[] = [];
    const { sessionCount, sharedMemoryCount } = this.simulated;
    if (sessionCount > 0) verdicts.push(leak('session', `${sessionCount} sessions are open that every client closed`));
    if (sharedMemoryCount > this.before)
      verdicts.push(leak('shared memory', 'Secure world has shared memory that was taken back'));
    return verdicts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ended ??= new ConduitError('it was closed');
    await this.simulated[Symbol.asyncDispose]();
    await this.tee.close({ graceMs: 0 }).catch(() => undefined);
  }

  private smc(call: SmcRegisters): SmcRegisters | Promise<SmcRegisters> {
    const answer = this.simulated.smc(call);
    if (answer instanceof Promise) return this.settled(answer, call);
    this.note(call, answer);
    return answer;
  }

  /** Advance virtual time while a call waits. */
  private async settled(answer: Promise<SmcRegisters>, call: SmcRegisters): Promise<SmcRegisters> {
    let isSettled = false;
    const settle = () => {
      isSettled = true;
    };
    answer.then(settle, settle);
    await this.clock.run({ limitMs: this.clock.now() + hangMs, until: () => isSettled });
    if (!isSettled) {
      this.hung = true;
      throw new ConduitError('a call does not return');
    }
    const returned = await answer;
    this.note(call, returned);
    return returned;
  }

  /** Record the outcome of a call: its registers and its message. */
  private note(call: SmcRegisters, { a0 }: SmcRegisters): void {
    const isMessage = call.a0 === OpteeSmc.callWithArg || call.a0 === OpteeSmc.callWithRpcArg;
    const codes = [classOfCode(call.a0, functions), classOfReturn(a0)];
    this.features.note(`${words(codes)} ${isMessage ? this.messageOf(call) : ''}`);
  }

  private messageOf({ a1, a2 }: SmcRegisters): string {
    try {
      const { cmd, ret, retOrigin, paramCount } = new MsgArg(
        this.simulated.memory.window(fromRegisterPair(a1, a2), msgArgSize(0)),
      );
      const origin = classOfCode(retOrigin, origins);
      return words([classOfCode(cmd, commands), classOfResult(ret), origin, Math.min(paramCount, 9)]);
    } catch {
      return 'nowhere';
    }
  }
}

const functions = new Set<number>(Object.values(OpteeSmc));
const commands = new Set<number>(Object.values(OpteeMsgCmd));
const origins = new Set<number>(Object.values(TeeOrigin));

/** Codes as words: numbers alone are no features. */
function words(codes: readonly number[]): string {
  return codes.map((each) => `${each.toString(16)}x`).join(' ');
}

function leak(what: string, sentence: string): Verdict {
  return { kind: 'leak', signature: `leak: ${what}`, what: sentence };
}
