import { join } from 'node:path';
import { TemporaryFolder } from '../../serve/temporary-folder.js';
import { MemoryFile } from '../../worlds/qemu/memory-file.js';
import { StateFeatures } from '../driver/state-features.js';
import { UnhandledRejections } from '../engine/own-exceptions.js';
import type { Harness, Target } from '../engine/target.js';
import type { Verdict } from '../engine/verdict.js';
import type { FuzzInput } from '../input/grammar.js';
import { stepInWords } from '../input/step-in-words.js';
import { ioctlGrammar, ioctlSeeds } from './ioctl-grammar.js';
import { dram, IoctlRun } from './ioctl-run.js';

/** The served device: hostile clients, and one well-behaved client, on the socket of `normalworld serve`. */
export function ioctlTarget(): Target {
  return {
    name: 'ioctl',
    grammar: ioctlGrammar,
    isTimed: false,
    seeds: ioctlSeeds,
    describe: stepInWords,
    open: async () => new IoctlHarness(),
  };
}

class IoctlHarness implements Harness {
  readonly about = 'the served device over the simulated secure world';
  isDead = false;
  private readonly features = new StateFeatures();
  private readonly memory = MemoryFile.create('normalworld-fuzz', dram.size);
  private readonly folder = new TemporaryFolder('normalworld-fuzz-');
  private readonly unhandled = new UnhandledRejections();

  drain(each: (feature: number, count: number) => void): void {
    this.features.drain(each);
  }

  async execute(input: FuzzInput): Promise<readonly Verdict[]> {
    this.features.begin();
    const verdicts = await new IoctlRun(this.features, this.memory, join(this.folder.path, 'tee0')).run(input);
    return [...verdicts, ...this.unhandled.drain()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.isDead = true;
    this.unhandled[Symbol.dispose]();
    this.memory[Symbol.dispose]();
    this.folder[Symbol.dispose]();
  }
}
