import { parseScenario } from '../../scenario/file/scenario-file.js';
import { recordedScenario } from '../../scenario/recorded/recorded-scenario.js';
import { runScenario } from '../../scenario/run-scenario.js';
import type { BoardVerdict } from '../../trace/linux/board-verdict.js';
import type { Timeline } from '../../trace/timeline/timeline.js';
import { writeOrSayWhy } from '../output/write-output.js';

/** Number of seeds tried to find one that reproduces the board's outcome. */
const seedsTried = 8;

/** Write a scenario, run it, and print whether it reproduces the board's outcome. */
export async function writeRecordedScenario(
  out: string,
  paths: readonly string[],
  timeline: Timeline,
  verdict: BoardVerdict,
): Promise<boolean> {
  const made = recordedScenario(timeline, verdict, paths.join(', '));
  const scenario = parseScenario(made.text, out);
  const [queue] = scenario.queues;
  const outcomes: string[] = [];
  for (let seed = 1; seed <= seedsTried; seed++) {
    const { runs } = await runScenario(scenario, { seed });
    outcomes.push(runs[0]?.outcome ?? '');
    if (runs[0]?.outcome !== made.outcome) continue;
    const text = made.text.replace(/^limit: /m, `expect: { ${queue}: ${made.outcome} }\nlimit: `);
    if (!writeOrSayWhy(out, paths, [seed === 1 ? text : made.text])) return false;
    console.error(
      `${out}: under ${queue} it has the outcome of the board: ${made.outcome}${seed === 1 ? '' : ` with --seed ${seed}`}`,
    );
    return true;
  }
  if (!writeOrSayWhy(out, paths, [made.text])) return false;
  console.error(
    `${out}: under ${queue} its outcome is ${[...new Set(outcomes)].join(', ')}, not ${made.outcome}: it depends on details of times and order that the record does not show; adjust the scenario by hand`,
  );
  return true;
}
