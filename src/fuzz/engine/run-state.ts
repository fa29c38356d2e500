import { join } from 'node:path';
import { z } from 'zod';
import { readRegularFileSync } from '../../files/read-regular-file.js';
import { writeWholeSync } from '../../files/write-whole.js';

const shape = z.object({
  target: z.string(),
  seed: z.int(),
  /** State of the random generator. */
  position: z.int(),
  executions: z.int().nonnegative(),
  /** Fuzzing time of all runs in the folder. */
  seconds: z.number().nonnegative(),
});

/** The state of a run, from which the next run continues. */
export type RunState = z.infer<typeof shape>;

const name = 'state.json';

/** @throws RangeError if the folder has the state of another target. */
export function readRunState(folder: string, target: string): RunState | undefined {
  let text: string;
  try {
    text = readRegularFileSync(join(folder, name)).toString();
  } catch {
    return undefined;
  }
  const parsed = shape.safeParse(safeJson(text));
  if (!parsed.success)
    throw new RangeError(`${join(folder, name)} is not a valid state file: use another folder, or remove it`);
  if (parsed.data.target !== target)
    throw new RangeError(
      `${folder} belongs to a run of "${parsed.data.target}", not of "${target}": use another folder`,
    );
  return parsed.data;
}

export function writeRunState(folder: string, state: RunState): void {
  const path = join(folder, name);
  writeWholeSync(path, `${JSON.stringify(state)}\n`);
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
