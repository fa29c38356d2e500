import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { driverGrammar, driverSeeds } from '../../src/fuzz/driver/driver-grammar.js';
import { parseFinding } from '../../src/fuzz/engine/finding-file.js';
import { Fuzzer, type FuzzOptions } from '../../src/fuzz/engine/fuzzer.js';
import type { Target } from '../../src/fuzz/engine/target.js';
import type { Verdict } from '../../src/fuzz/engine/verdict.js';
import { Draws } from '../../src/fuzz/input/draws.js';
import { generateStep } from '../../src/fuzz/input/generate.js';
import { type FuzzInput, type Grammar, grammarMistake } from '../../src/fuzz/input/grammar.js';
import { mutate } from '../../src/fuzz/input/mutate.js';
import { ioctlGrammar, ioctlSeeds } from '../../src/fuzz/ioctl/ioctl-grammar.js';
import { messageGrammar, messageSeeds, smcGrammar } from '../../src/fuzz/raw/raw-grammar.js';
import { replayFinding } from '../../src/fuzz/replay-finding.js';

const scratch = mkdtempSync(join(tmpdir(), 'normalworld-fuzz-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let folders = 0;
const newFolder = () => join(scratch, String(++folders));

const grammar: Grammar = {
  maxSteps: 8,
  steps: {
    type: 'record',
    of: {
      press: { key: { type: 'integer', max: 400_000, usual: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] } },
      say: { words: { type: 'octets', maxLength: 32, usual: ['c0ffee'] } },
      wait: {},
    },
  },
};

/** A lock: a few keys of one digit in a row, and words at the end. Each that is right is a feature. */
function lock(keys: readonly number[], words = 'c0ffee') {
  let opened = 0;
  const lockTarget: Target = {
    name: 'lock',
    grammar,
    isTimed: false,
    seeds: [{ steps: [{ kind: 'wait' }] }],
    describe: ({ kind }) => kind,
    open: async () => {
      opened++;
      let features: number[] = [];
      let dead = false;
      return {
        about: 'a lock',
        get isDead() {
          return dead;
        },
        async execute({ steps }: FuzzInput): Promise<readonly Verdict[]> {
          let right = 0;
          features = [1];
          for (const step of steps) {
            if (step.kind === 'press' && step.key === keys[right]) right++;
            features.push(2 + right);
            if (right === keys.length && step.kind === 'say' && String(step.words).startsWith(words)) {
              dead = true;
              return [{ kind: 'core-panic', signature: 'the lock opens', what: 'The lock opened' }];
            }
          }
          return [];
        },
        drain(each) {
          for (const feature of new Set(features)) each(feature, 1);
          features = [];
        },
        async [Symbol.asyncDispose]() {
          dead = true;
        },
      };
    },
  };
  return { target: lockTarget, opened: () => opened };
}

const run = (target: Target, options: Partial<FuzzOptions> = {}) => {
  const folder = options.folder ?? newFolder();
  const fuzzer = new Fuzzer(target, { folder, seed: 1, executions: 6000, ...options });
  return { folder, fuzzer, ended: fuzzer.run() };
};

describe('a guided run', () => {
  it('finds a defect behind several correct steps, minimises it, and writes a file that reproduces it', async () => {
    const { target } = lock([3, 1, 4]);
    const { folder, fuzzer, ended } = run(target, { executions: 15_000 });
    await ended;
    expect(fuzzer.knownFindings.map(({ signature }) => signature)).toEqual(['the lock opens']);
    const [name = ''] = readdirSync(join(folder, 'findings'));
    const finding = parseFinding(readFileSync(join(folder, 'findings', name, 'finding.json'), 'utf8'));
    expect(finding).toMatchObject({ came: { times: 3, tries: 3 }, before: [], target: { name: 'lock' } });
    expect(finding.steps).toEqual([
      { kind: 'press', key: 3 },
      { kind: 'press', key: 1 },
      { kind: 'press', key: 4 },
      { kind: 'say', words: expect.stringMatching(/^c0ffee$/) },
    ]);
    expect(await replayFinding(finding, target)).toMatchObject({ came: true, on: 'a lock' });
    // Another lock does not open by it.
    expect(await replayFinding(finding, lock([3, 1, 5]).target)).toMatchObject({ came: false });
  });

  it.each([{ isTimed: true }, { isTimed: false }])(
    'executes steps that take long less often, unless the same seed is to give the same run ($isTimed)',
    async ({ isTimed }) => {
      vi.useFakeTimers({ toFake: ['performance'] });
      onTestFinished(() => void vi.useRealTimers());
      const waits = async (ms: number) => {
        const { target } = lock([3, 1, 4, 1, 5]);
        let count = 0;
        const open = async () => {
          const harness = await target.open();
          const execute = (input: FuzzInput) => {
            for (const { kind } of input.steps) {
              if (kind === 'wait') count++;
              vi.advanceTimersByTime(kind === 'wait' ? ms : 1);
            }
            return harness.execute(input);
          };
          return { ...harness, isDead: false, execute };
        };
        await run({ ...target, isTimed, open }, { executions: 3000 }).ended;
        return count;
      };
      const [long, usual] = [await waits(300), await waits(1)];
      if (isTimed) expect(long).toBeLessThan(usual / 4);
      else expect(long).toBe(usual);
    },
  );

  it.each<[string, readonly [works: number, fails: number], string | undefined]>([
    ['starts an instance again that does not start, after another one did', [1, 2], undefined],
    ['ends after three that do not start', [1, 3], 'no power'],
    ['ends at once if none has started', [0, 1], 'no power'],
  ])('%s', async (_, [works, fails], error) => {
    const { target } = lock([3]);
    let opened = 0;
    const open = async () => {
      opened++;
      if (opened > works && opened <= works + fails) throw new Error('no power');
      const harness = await target.open();
      // Each instance ends with its first input.
      let isDead = false;
      return {
        ...harness,
        get isDead() {
          return isDead;
        },
        execute: (input: FuzzInput) => {
          isDead = true;
          return harness.execute(input);
        },
      };
    };
    const { ended } = run({ ...target, open }, { executions: 2 });
    if (error === undefined) expect((await ended).executions).toBe(2);
    else await expect(ended).rejects.toThrow(error);
  });

  it('executes inputs that end the machine less often', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const deaths = async (restartMs: number) => {
      const { target } = lock([3]);
      const open = async () => {
        vi.advanceTimersByTime(restartMs);
        const { [Symbol.asyncDispose]: dispose, drain } = await target.open();
        let isDead = false;
        return {
          ...{ about: 'a lock', drain, [Symbol.asyncDispose]: dispose },
          get isDead() {
            return isDead;
          },
          async execute({ steps }: FuzzInput): Promise<readonly Verdict[]> {
            vi.advanceTimersByTime(1);
            isDead = steps.some(({ kind }) => kind === 'say');
            return isDead ? [{ kind: 'core-panic', signature: 'said', what: 'It was said' }] : [];
          },
        };
      };
      const { ended } = run({ ...target, isTimed: true, open }, { executions: 2000, claim: async () => false });
      return (await ended).deaths;
    };
    expect(await deaths(1000)).toBeLessThan((await deaths(0)) / 4);
  });

  it('is the same with the same seed, and different with another', async () => {
    const of = async (seed: number) => {
      const { folder, ended } = run(lock([7, 7, 7, 7, 7, 7]).target, { seed, executions: 1500 });
      const { executions, edges } = await ended;
      const { position } = JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8'));
      return { executions, edges, position, corpus: readdirSync(join(folder, 'corpus')).sort() };
    };
    const [one, same, other] = [await of(5), await of(5), await of(6)];
    expect(same).toEqual(one);
    expect(other.position).not.toBe(one.position);
  });

  it('gets further than blind mutation of the same seeds', async () => {
    const keys = [3, 1, 4, 1];
    const guided = await run(lock(keys).target, { executions: 4000 }).ended;
    const blind = await run(lock(keys).target, { executions: 4000, blind: true }).ended;
    expect(guided.edges).toBeGreaterThan(blind.edges);
  });

  it('continues where it stopped, with its corpus and findings', async () => {
    const { target } = lock([3, 1, 4]);
    const first = run(target, { executions: 15_000 });
    const before = await first.ended;
    const second = run(target, { folder: first.folder, executions: 50 });
    const after = await second.ended;
    expect(after.executions).toBeGreaterThanOrEqual(before.executions + 50);
    expect(after.edges).toBe(before.edges);
    expect(after.findings).toBe(1);
  });

  it('saves its state when it is aborted', async () => {
    const interrupt = new AbortController();
    const { folder, ended } = run(lock([3, 1]).target, {
      executions: Number.POSITIVE_INFINITY,
      signal: interrupt.signal,
      onKept: () => interrupt.abort(),
    });
    const { executions } = await ended;
    expect(JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8'))).toMatchObject({ target: 'lock', executions });
    expect(readdirSync(join(folder, 'corpus')).length).toBeGreaterThan(0);
  });

  it('has an input once that runs the same code more often later', async () => {
    const { target } = lock([3]);
    let executed = 0;
    const open = async () => ({
      ...(await target.open()),
      isDead: false,
      execute: async () => [],
      drain: (each: (feature: number, count: number) => void) => each(1, 2 ** Math.min(7, Math.floor(executed++ / 20))),
    });
    const grammarOfOne: Grammar = { maxSteps: 1, steps: { type: 'record', of: { wait: {} } } };
    const { folder, ended } = run({ ...target, grammar: grammarOfOne, open }, { executions: 200 });
    expect((await ended).corpus).toBe(1);
    expect(readdirSync(join(folder, 'corpus')).length).toBe(1);
  });

  it('takes inputs that others add to its corpus, and skips other files', async () => {
    const { target } = lock([300_007, 1]);
    const first = run(target, { executions: 20 });
    await first.ended;
    const corpus = join(first.folder, 'corpus');
    writeFileSync(join(corpus, '0123456789abcdef.json'), JSON.stringify({ steps: [{ kind: 'press', key: 300_007 }] }));
    writeFileSync(join(corpus, '1123456789abcdef.json'), '{"steps": [{');
    writeFileSync(join(corpus, '2123456789abcdef.json'), JSON.stringify({ steps: [{ kind: 'press', key: -1 }] }));
    const alone = await run(target, { executions: 20 }).ended;
    const helped = await run(target, { folder: first.folder, executions: 20 }).ended;
    expect(helped.edges).toBe(alone.edges + 1);
  });

  it('refuses the folder of another target, naming it', () => {
    const { folder } = run(lock([1]).target, { executions: 1 });
    writeFileSync(
      join(folder, 'state.json'),
      JSON.stringify({ target: 'smc', seed: 1, position: 1, executions: 1, seconds: 1 }),
    );
    expect(() => new Fuzzer(lock([1]).target, { folder, seed: 1 })).toThrow('belongs to a run of "smc", not of "lock"');
  });

  it('finds a defect that needs accumulated state, with the inputs before', async () => {
    let total = 0;
    const { target } = lock([]);
    const counting: Target = {
      ...target,
      open: async () => {
        const harness = await target.open();
        total = 0;
        return {
          ...{
            about: 'a counter',
            isDead: false,
            drain: () => undefined,
            [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose](),
          },
          execute: async ({ steps }) => {
            total += steps.filter(({ kind }) => kind === 'wait').length;
            return total >= 5 ? [{ kind: 'leak', signature: 'five', what: 'Five waits' }] : [];
          },
        };
      },
    };
    const { folder, ended } = run(counting, { executions: 100 });
    await ended;
    const [name = ''] = readdirSync(join(folder, 'findings'));
    const finding = parseFinding(readFileSync(join(folder, 'findings', name, 'finding.json'), 'utf8'));
    expect(finding.came.times).toBe(3);
    expect(finding.before.length).toBeGreaterThan(0);
    expect(await replayFinding(finding, counting)).toMatchObject({ came: true });
  });
});

describe('inputs', () => {
  const seed = Number(process.env.NORMALWORLD_SEED ?? Date.now() % 0x1_0000_0000);

  it.each([
    ['message', messageGrammar],
    ['smc', smcGrammar],
    ['driver', driverGrammar],
    ['ioctl', ioctlGrammar],
    ['of this test', grammar],
  ])(`%s: generated and mutated ones match the grammar (NORMALWORLD_SEED=${seed})`, (_, of) => {
    const draws = new Draws(seed);
    let input: FuzzInput = { steps: [generateStep(of, draws)] };
    let other = input;
    for (let time = 0; time < 500; time++) {
      const changed = mutate(of, input, other, draws);
      expect(grammarMistake(of, changed)).toBeUndefined();
      expect(changed.steps.length).toBeLessThanOrEqual(of.maxSteps);
      other = input;
      input = draws.chance(0.1) ? { steps: [generateStep(of, draws)] } : changed;
    }
  });

  it('used as seeds match their grammars', () => {
    for (const input of messageSeeds) expect(grammarMistake(messageGrammar, input)).toBeUndefined();
    for (const input of ioctlSeeds) expect(grammarMistake(ioctlGrammar, input)).toBeUndefined();
    for (const input of driverSeeds) expect(grammarMistake(driverGrammar, input)).toBeUndefined();
  });

  it.each<[string, unknown, RegExp]>([
    [
      'a number that is too large',
      [{ kind: 'press', key: 400_001 }],
      /^steps\[0\]\.key is 400001, not an integer from 0 to 400000$/,
    ],
    [
      'a step that there is none of',
      [{ kind: 'wait' }, { kind: 'run' }],
      /^steps\[1\]\.kind is "run"; allowed: press, say, wait$/,
    ],
    ['octets that are none', [{ kind: 'say', words: 'abc' }], /^steps\[0\]\.words/],
    ['a field that is not there', [{ kind: 'wait', long: 1 }], /^steps\[0\]\.long/],
    ['too many steps', Array.from({ length: 9 }, () => ({ kind: 'wait' })), /^steps is not a list of up to 8$/],
  ])('with %s are refused, and the message names the place', (_, steps, says) => {
    expect(grammarMistake(grammar, { steps } as FuzzInput)).toMatch(says);
  });
});
