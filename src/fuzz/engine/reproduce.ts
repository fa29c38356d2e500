import type { FuzzInput } from '../input/grammar.js';
import { simplerInputs } from '../input/simplify.js';
import type { Harness, Target } from './target.js';
import type { Verdict } from './verdict.js';

/** The inputs that reproduce a verdict. */
export interface Recipe {
  /** Executed first, on the same instance. */
  readonly before: readonly FuzzInput[];
  readonly input: FuzzInput;
}

/** Limits for minimising one finding: executions, and milliseconds. */
export interface ReproduceLimits {
  readonly executions: number;
  readonly ms: number;
}

/** Number of final tries, each on a fresh instance, that measure how reliably the finding is reproduced. */
const lastTries = 3;

export interface Reproduction {
  /** The shortest recipe found; if the verdict did not occur again, the whole history. */
  readonly recipe: Recipe;
  readonly verdict: Verdict;
  readonly came: { readonly times: number; readonly tries: number };
  readonly executions: number;
}

/** Executes candidates, and keeps an instance until it is dead. */
export class Reproducer implements AsyncDisposable {
  private harness: Harness | undefined;
  private executions = 0;
  private readonly end: number;

  constructor(
    private readonly target: Target,
    private readonly signature: string,
    private readonly limits: ReproduceLimits,
  ) {
    this.end = performance.now() + limits.ms;
  }

  /**
   * Minimise a finding, and measure how reliably it is reproduced.
   * @param history inputs executed before on the same instance, the latest last.
   */
  async reproduce(input: FuzzInput, history: readonly FuzzInput[], found: Verdict): Promise<Reproduction> {
    let recipe: Recipe | undefined;
    let verdict = found;
    // Try the input alone, then with more and more of the history.
    for (const length of new Set([0, 1, 8, 64, history.length])) {
      if (length > history.length || this.isOver) continue;
      const candidate = { before: length === 0 ? [] : history.slice(-length), input };
      const again = await this.onFresh(candidate);
      if (again === undefined) continue;
      recipe = candidate;
      verdict = again;
      break;
    }
    if (recipe === undefined) {
      const all = { before: history, input };
      return { recipe: all, verdict, came: { times: 0, tries: 1 }, executions: this.executions };
    }
    recipe = await this.shorter(recipe);
    let times = 0;
    for (let tries = 0; tries < lastTries; tries++) {
      const again = await this.onFresh(recipe);
      if (again === undefined) continue;
      times++;
      verdict = again;
    }
    return { recipe, verdict, came: { times, tries: lastTries }, executions: this.executions };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.harness?.[Symbol.asyncDispose]();
    this.harness = undefined;
  }

  private get isOver(): boolean {
    return this.executions >= this.limits.executions || performance.now() > this.end;
  }

  private async shorter(found: Recipe): Promise<Recipe> {
    let recipe = found;
    // Remove halves, quarters and so on of the history, down to single inputs.
    for (let size = Math.ceil(recipe.before.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
      for (let at = 0; at < recipe.before.length && !this.isOver; ) {
        const candidate = { ...recipe, before: recipe.before.toSpliced(at, size) };
        if ((await this.onFresh(candidate)) === undefined) at += size;
        else recipe = candidate;
      }
    for (let changed = true; changed && !this.isOver; ) {
      changed = false;
      for (const input of simplerInputs(this.target.grammar, recipe.input)) {
        if (this.isOver) break;
        const candidate = { ...recipe, input };
        const again = recipe.before.length === 0 ? await this.onAny(candidate) : await this.onFresh(candidate);
        if (again === undefined) continue;
        recipe = candidate;
        changed = true;
        break;
      }
    }
    return recipe;
  }

  /** Execute on a fresh instance, so that nothing was executed before. */
  private async onFresh(recipe: Recipe): Promise<Verdict | undefined> {
    await this[Symbol.asyncDispose]();
    return this.onAny(recipe);
  }

  private async onAny({ before, input }: Recipe): Promise<Verdict | undefined> {
    if (this.harness?.isDead) await this[Symbol.asyncDispose]();
    this.harness ??= await this.target.open();
    for (const each of [...before, input]) {
      if (this.harness.isDead) return undefined;
      this.executions++;
      const verdicts = await this.harness.execute(each);
      this.harness.drain(() => undefined);
      const again = verdicts.find(({ signature }) => signature === this.signature);
      if (again !== undefined) return again;
    }
    return undefined;
  }
}
