import type { FindingFile } from './engine/finding-file.js';
import { FindingFileError } from './engine/finding-file.js';
import type { Target } from './engine/target.js';
import type { Verdict } from './engine/verdict.js';
import { grammarMistake } from './input/grammar.js';

export interface Replay {
  /** The system under test: its version and build. */
  readonly on: string;
  readonly steps: readonly string[];
  readonly verdicts: readonly Verdict[];
  /** Whether the finding occurred again. */
  readonly came: boolean;
}

/**
 * Execute a finding again, on a fresh instance.
 * @throws FindingFileError for steps that the target does not have; what opening the target fails with.
 */
export async function replayFinding(finding: FindingFile, target: Target): Promise<Replay> {
  const inputs = [...finding.before, { steps: finding.steps }];
  for (const input of inputs) {
    const mistake = grammarMistake(target.grammar, input);
    if (mistake !== undefined) throw new FindingFileError(mistake);
  }
  await using harness = await target.open();
  const verdicts: Verdict[] = [];
  for (const input of inputs) {
    if (harness.isDead) break;
    verdicts.push(...(await harness.execute(input)));
  }
  return {
    on: harness.about,
    steps: finding.steps.map((step) => target.describe(step)),
    verdicts,
    came: verdicts.some(({ signature }) => signature === finding.signature),
  };
}
