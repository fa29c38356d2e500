import { UnhandledRejections } from '../engine/own-exceptions.js';
import type { Harness, Target } from '../engine/target.js';
import type { Verdict } from '../engine/verdict.js';
import type { FuzzInput } from '../input/grammar.js';
import { stepInWords } from '../input/step-in-words.js';
import { driverGrammar, driverSeeds } from './driver-grammar.js';
import { DriverRun } from './driver-run.js';
import { DriverTee, ReusedRam } from './driver-tee.js';
import { StateFeatures } from './state-features.js';

/**
 * The largest number of inputs that a TEE executes: the numbers of its sessions grow, and inputs guess small numbers.
 */
const mostUses = 100;

/** The driver over a simulated secure world that violates the protocol. */
export function driverTarget(): Target {
  return {
    name: 'driver',
    grammar: driverGrammar,
    isTimed: false,
    seeds: driverSeeds,
    describe: stepInWords,
    open: async () => new DriverHarness(),
  };
}

/**
 * Executes an input on the TEE of the input before if that left nothing behind, otherwise on a fresh one: opening a TEE
 * costs as much as several inputs.
 */
class DriverHarness implements Harness {
  readonly about = 'the driver over the simulated secure world';
  isDead = false;
  private readonly features = new StateFeatures();
  private readonly ram = new ReusedRam();
  private readonly unhandled = new UnhandledRejections();
  private tee: DriverTee | undefined;
  private uses = 0;

  drain(each: (feature: number, count: number) => void): void {
    this.features.drain(each);
  }

  async execute(input: FuzzInput): Promise<readonly Verdict[]> {
    this.features.begin();
    if (this.tee === undefined) {
      this.uses = 0;
      this.tee = await DriverTee.open(this.features, this.ram);
    }
    const { tee } = this;
    if (tee === undefined) return [{ kind: 'hang', signature: 'hang: open', what: 'The TEE does not open' }];
    const verdicts = [...(await new DriverRun(this.features, tee).run(input))];
    const isAsBefore = verdicts.length === 0 && (await tee.renew(input));
    if (!isAsBefore || ++this.uses >= mostUses) {
      this.tee = undefined;
      if (isAsBefore) this.features.pause();
      verdicts.push(...(await tee.close()));
    }
    // Node reports an unhandled rejection between two turns of its loop: it belongs to this input, not to a later one.
    await tee.clock.advance(0);
    return [...verdicts, ...this.unhandled.drain()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.isDead = true;
    this.features.pause();
    await this.tee?.close();
    this.unhandled[Symbol.dispose]();
  }
}
