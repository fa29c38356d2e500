import { join } from 'node:path';
import { startTimer } from '../../clock/timer.js';
import { Draws } from '../input/draws.js';
import { generateStep } from '../input/generate.js';
import type { FuzzInput } from '../input/grammar.js';
import { mutate } from '../input/mutate.js';
import { neighbours } from '../input/neighbours.js';
import { Corpus, type KeptInput } from './corpus.js';
import { FeatureMap, metAs, type Novelty } from './feature-map.js';
import { Findings, type KnownFinding } from './findings.js';
import type { FuzzProgress } from './progress.js';
import { type ReproduceLimits, Reproducer } from './reproduce.js';
import { readRunState, writeRunState } from './run-state.js';
import { startingAgain } from './start-again.js';
import { StepTimes } from './step-times.js';
import type { Harness, Target } from './target.js';
import type { Verdict } from './verdict.js';

export interface FuzzOptions {
  /** The folder of the run: `corpus/`, `findings/`, `state.json`. An earlier run in this folder is continued. */
  readonly folder: string;
  /** The seed of all random draws, 0..2^32-1. */
  readonly seed: number;
  /** The largest number of executions of this run. */
  readonly executions?: number;
  /** The longest duration of this run, in milliseconds. */
  readonly ms?: number;
  /** Ends the run; its state is saved. */
  readonly signal?: AbortSignal;
  /** Only mutate the seeds, without coverage feedback: a baseline for comparison. */
  readonly blind?: boolean;
  /** Limits for minimising a finding; when left out, 2000 executions and one minute. */
  readonly reproduce?: ReproduceLimits;
  /**
   * Called for each new signature. Returns whether this run is to minimise and write the finding; false if another run
   * does.
   */
  readonly claim?: (signature: string) => Promise<boolean>;
  /** Called every second and at the end. */
  readonly onProgress?: (progress: FuzzProgress) => void;
  readonly onFinding?: (finding: KnownFinding, verdict: Verdict) => void;
  /** Called for each input that is added to the corpus, to share it with other runs. */
  readonly onKept?: (input: FuzzInput) => void;
}

/** Number of previous inputs that are tried together with an input that does not reproduce the finding alone. */
const historyLength = 256;
/** How often the folder is searched for new inputs and the state is saved, in milliseconds. */
const saveMs = 1000;
/** How many inputs are drawn, if each takes too long, before one of them is executed. */
const mostDrawn = 16;
/** In-process targets block the event loop; it gets a turn after this many milliseconds. */
const turnMs = 50;

/**
 * The largest number of kept inputs whose neighbours are planned, and the probability of executing one of these next
 * while there are some.
 */
const mostPlanned = 200;
const plannedShare = 0.6;

const defaultReproduce: ReproduceLimits = { executions: 2000, ms: 60_000 };

/** A coverage-guided fuzzing run on a target. */
export class Fuzzer {
  private readonly target: Target;
  private readonly draws: Draws;
  private readonly corpus: Corpus;
  private readonly findings: Findings;
  private readonly features = new FeatureMap();
  private readonly times = new StepTimes();
  private readonly history: FuzzInput[] = [];
  private readonly seedsToRun: FuzzInput[];
  /**
   * Inputs near those that reached new code: one changed value often reaches the next. A list for each kept input, so
   * that the latest does not displace the others.
   */
  private readonly planned: { readonly near: FuzzInput[]; readonly ms: number }[] = [];
  private harness: Harness | undefined;
  private readonly executionsBefore: number;
  private readonly secondsBefore: number;
  private executions = 0;
  /** How long the last input took, in milliseconds. */
  private lastMs = 0;
  /** The input that ended the machine, until it is known how long the restart takes that it causes. */
  private deadly: KeptInput | undefined;
  private deaths = 0;
  private readonly begun = performance.now();
  private lastNewEdge = performance.now();
  private lastTurn = performance.now();
  private lastSave = performance.now();
  /** Time spent on minimising findings, in milliseconds. It does not count for the execution rate. */
  private reproducing = 0;
  private readonly stable = { again: 0, all: 0 };

  /**
   * @throws RangeError if the folder holds a run of another target; the system's error if the folder cannot be used.
   */
  constructor(
    target: Target,
    private readonly options: FuzzOptions,
  ) {
    this.target = startingAgain(target);
    this.corpus = Corpus.open(join(options.folder, 'corpus'));
    const state = readRunState(options.folder, this.targetName);
    this.findings = Findings.open(join(options.folder, 'findings'));
    this.draws = new Draws(state?.seed === options.seed ? state.position : options.seed);
    this.executionsBefore = state?.executions ?? 0;
    this.secondsBefore = state?.seconds ?? 0;
    this.seedsToRun = [...target.seeds];
  }

  get knownFindings(): readonly KnownFinding[] {
    return this.findings.all;
  }

  /** Run until a limit is reached or the signal aborts. @throws what starting the target fails with. */
  async run(): Promise<FuzzProgress> {
    try {
      this.takeArrived();
      while (!this.isOver) {
        await this.one(this.nextInput());
        const now = performance.now();
        if (now - this.lastSave > saveMs) this.save(now);
        if (now - this.lastTurn > turnMs) await this.turn();
      }
    } finally {
      await this.harness?.[Symbol.asyncDispose]();
      this.harness = undefined;
      this.save(performance.now());
    }
    return this.progress;
  }

  get progress(): FuzzProgress {
    const seconds = (performance.now() - this.begun) / 1000;
    const { again, all } = this.stable;
    return {
      executions: this.executionsBefore + this.executions,
      executionsPerSecond: this.executions / Math.max(0.001, seconds - this.reproducing / 1000),
      corpus: this.corpus.size,
      corpusBytes: this.corpus.bytes,
      edges: this.features.edges,
      findings: this.findings.all.length,
      deaths: this.deaths,
      seconds: this.secondsBefore + seconds,
      sinceNewEdgeSeconds: (performance.now() - this.lastNewEdge) / 1000,
      stability: all === 0 ? undefined : again / all,
    };
  }

  private get targetName(): string {
    const { name, uuid } = this.target;
    return uuid === undefined ? name : `${name} ${uuid}`;
  }

  private get isOver(): boolean {
    const { executions = Number.POSITIVE_INFINITY, ms = Number.POSITIVE_INFINITY, signal } = this.options;
    return signal?.aborted === true || this.executions >= executions || performance.now() - this.begun >= ms;
  }

  private nextInput(): FuzzInput {
    const { draws, times } = this;
    const seed = this.seedsToRun.shift();
    if (seed !== undefined) {
      if (times.admits(times.expected(seed), draws)) return seed;
      this.seedsToRun.push(seed);
    }
    for (let time = 1; ; time++) {
      const { input, ms } = this.drawInput();
      // A part of what the input took from which it comes: the kinds of its steps do not say everything.
      if (time === mostDrawn || times.admits(Math.max(times.expected(input), ms / 2), draws)) return input;
    }
  }

  /** An input, and how long that took from which it comes. */
  private drawInput(): KeptInput {
    const { draws, target } = this;
    const planned = this.planned.length > 0 && draws.chance(plannedShare) ? this.takePlanned() : undefined;
    if (planned !== undefined) return planned;
    const from = this.drawKept();
    if (from === undefined || (!this.options.blind && draws.chance(0.05)))
      return {
        input: { steps: Array.from({ length: 1 + draws.below(3) }, () => generateStep(target.grammar, draws)) },
        ms: 0,
      };
    const other = this.drawKept() ?? from;
    return { input: mutate(target.grammar, from.input, other.input, draws), ms: from.ms };
  }

  private drawKept(): KeptInput | undefined {
    const { draws, target } = this;
    return this.options.blind ? { input: draws.of(target.seeds), ms: 0 } : this.corpus.draw(draws);
  }

  /** A neighbour of one of two kept inputs that are drawn: of that which takes less time. */
  private takePlanned(): KeptInput | undefined {
    const { draws, planned } = this;
    const [one, other] = [0, 0].map(() => draws.below(planned.length)) as [number, number];
    const at = (planned[other]?.ms ?? 0) < (planned[one]?.ms ?? 0) ? other : one;
    const { near, ms } = planned[at] ?? { near: [], ms: 0 };
    const [taken] = near.splice(draws.below(near.length), 1);
    if (near.length === 0) planned.splice(at, 1);
    return taken === undefined ? undefined : { input: taken, ms };
  }

  /** Execute an input, and learn how long it takes. */
  private async execute(harness: Harness, input: FuzzInput): Promise<readonly Verdict[]> {
    this.executions++;
    const begun = performance.now();
    const verdicts = await harness.execute(input);
    // Without a clock, each step takes as long as the others.
    this.lastMs = this.target.isTimed ? performance.now() - begun : input.steps.length;
    if (harness.isDead && verdicts.length > 0) this.deadly = { input, ms: this.lastMs };
    else this.learn(input, this.lastMs);
    return verdicts;
  }

  private learn(input: FuzzInput, ms: number): void {
    // A blind run has no feedback, not that of the clock either.
    if (this.target.isTimed && !this.options.blind) this.times.learn(input, ms);
  }

  private async one(input: FuzzInput): Promise<void> {
    const harness = await this.living();
    const verdicts = await this.execute(harness, input);
    const novelty = this.features.add((each) => harness.drain(each));
    if (novelty.edges > 0) this.lastNewEdge = performance.now();
    if (verdicts.length > 0) await this.foundAll(input, verdicts);
    this.remember(input);
    // An input with a verdict is not kept: mutating it would mostly reproduce the same verdict.
    // For a sequence, changed hit counts do not count as new coverage: they mostly reflect its length.
    const isNovel = input.steps.length === 1 ? novelty.features.length > 0 : novelty.edges > 0;
    if (isNovel && verdicts.length === 0 && !this.options.blind) await this.keepIfStable(input, novelty);
  }

  private remember(input: FuzzInput): void {
    this.history.push(input);
    if (this.history.length > historyLength) this.history.shift();
  }

  /** Coverage that does not occur again, because of a timer interrupt or of earlier inputs, is not worth keeping. */
  private async keepIfStable(input: FuzzInput, { features, edges }: Novelty): Promise<void> {
    let came = await this.meetsAgain(input, features);
    this.stable.again += came.length;
    this.stable.all += features.length;
    // Hit counts are less stable than edges, so check them twice.
    if (edges === 0 && came.length > 0) came = await this.meetsAgain(input, came);
    if (came.length === 0) return;
    const ms = this.lastMs;
    const shorter = await this.shortened(input, came);
    if (edges > 0) {
      this.planned.push({ near: [...neighbours(this.target.grammar, shorter, this.draws)], ms });
      if (this.planned.length > mostPlanned) this.planned.shift();
    }
    if (this.corpus.keep({ input: shorter, ms })) this.options.onKept?.(shorter);
  }

  /** Those of the features that the input hits again when it is executed once more. */
  private async meetsAgain(input: FuzzInput, features: readonly number[]): Promise<readonly number[]> {
    const { harness } = this;
    if (harness === undefined || harness.isDead) return [];
    const verdicts = await this.execute(harness, input);
    const met = new Set<number>();
    this.features.add((each) =>
      harness.drain((feature, count) => {
        met.add(metAs(feature, count));
        each(feature, count);
      }),
    );
    if (verdicts.length === 0) {
      this.remember(input);
      return features.filter((feature) => met.has(feature));
    }
    await this.foundAll(input, verdicts);
    return [];
  }

  /** Remove the steps that are not necessary for the new coverage. */
  private async shortened(input: FuzzInput, features: readonly number[]): Promise<FuzzInput> {
    let shortest = input;
    for (let at = input.steps.length - 1; at >= 0 && shortest.steps.length > 1; at--) {
      const shorter = { steps: shortest.steps.toSpliced(at, 1) };
      if ((await this.meetsAgain(shorter, features)).length === features.length) shortest = shorter;
    }
    return shortest;
  }

  private async foundAll(input: FuzzInput, verdicts: readonly Verdict[]): Promise<void> {
    const fresh: Verdict[] = [];
    for (const verdict of verdicts)
      if (this.findings.meets(verdict) && (await (this.options.claim?.(verdict.signature) ?? true)))
        fresh.push(verdict);
    if (fresh.length === 0) return;
    const about = this.harness?.about ?? '';
    if (this.harness?.isDead) this.deaths++;
    // Only one instance may use the machine at a time.
    await this.harness?.[Symbol.asyncDispose]();
    this.harness = undefined;
    const history = [...this.history];
    for (const verdict of fresh) await this.found(input, verdict, history, about);
  }

  private async found(input: FuzzInput, verdict: Verdict, history: readonly FuzzInput[], about: string): Promise<void> {
    const begun = performance.now();
    await using reproducer = new Reproducer(this.target, verdict.signature, this.options.reproduce ?? defaultReproduce);
    const reproduction = await reproducer.reproduce(input, history, verdict);
    const written = this.findings.write(this.target, about, reproduction);
    this.reproducing += performance.now() - begun;
    if (written !== undefined) this.options.onFinding?.(written, reproduction.verdict);
  }

  private async living(): Promise<Harness> {
    if (this.harness?.isDead === false) return this.harness;
    if (this.harness !== undefined) {
      this.deaths++;
      await this.harness[Symbol.asyncDispose]();
      this.harness = undefined;
    }
    this.history.length = 0;
    const begun = performance.now();
    this.harness = await this.target.open();
    if (this.deadly !== undefined) this.learn(this.deadly.input, this.deadly.ms + performance.now() - begun);
    this.deadly = undefined;
    return this.harness;
  }

  /** Queue the inputs that earlier runs stored, or other processes that use the folder. */
  private takeArrived(): void {
    if (this.options.blind) return;
    for (const input of this.corpus.arrived(this.target.grammar)) this.seedsToRun.push(input);
  }

  private save(now: number): void {
    this.lastSave = now;
    const { seed, folder } = this.options;
    const { executions, seconds } = this.progress;
    writeRunState(folder, { target: this.targetName, seed, position: this.draws.position, executions, seconds });
    this.takeArrived();
    this.options.onProgress?.(this.progress);
  }

  /** Let signals and timers run. */
  private async turn(): Promise<void> {
    await new Promise<void>((resolve) => startTimer(0, resolve));
    this.lastTurn = performance.now();
  }
}
