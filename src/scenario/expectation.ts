import type { DisciplineName } from '../optee/call-queue/call-queue.js';
import { DISCIPLINES } from '../optee/call-queue/disciplines.js';
import { queueOfKernel } from './kernel-queue.js';
import { OUTCOMES, type Outcome } from './scenario-result.js';

/** The expected outcomes: by discipline, and `every` for the disciplines that are not named. */
export interface Expectation {
  /** Outcomes that are expected of every discipline not in `byQueue`. */
  readonly every?: readonly Outcome[];
  readonly byQueue: ReadonlyMap<DisciplineName, readonly Outcome[]>;
}

export const expectationForm =
  `an outcome (${OUTCOMES.join(', ')}; several separated by |), or one for each discipline: ` +
  'linux-6.7=deadlock,hand-off=finished; a kernel version stands for its discipline: 6.6=deadlock';

/**
 * Parse `finished`, `deadlock|stuck`, or `linux-6.7=deadlock,hand-off=finished`, also `6.6=deadlock`. @throws RangeError
 * naming the error.
 */
export function parseExpectation(text: string): Expectation {
  const byQueue = new Map<DisciplineName, readonly Outcome[]>();
  let every: readonly Outcome[] | undefined;
  for (const part of text.split(',')) {
    const equals = part.indexOf('=');
    if (equals < 0) {
      if (every !== undefined) throw new RangeError(`two outcomes for every discipline; put | between them`);
      every = outcomesOf(part);
      continue;
    }
    const name = disciplineOf(part.slice(0, equals).trim());
    if (byQueue.has(name)) throw new RangeError(`${name} is named twice`);
    byQueue.set(name, outcomesOf(part.slice(equals + 1)));
  }
  return { byQueue, ...(every === undefined ? {} : { every }) };
}

/** The expected outcomes if the outcome is not among them; undefined if it is, or if nothing is expected. */
export function unmet(
  expectation: Expectation,
  queue: DisciplineName,
  outcome: Outcome,
): readonly Outcome[] | undefined {
  const expected = expectation.byQueue.get(queue) ?? expectation.every;
  return expected === undefined || expected.includes(outcome) ? undefined : expected;
}

/** @throws RangeError if it is neither a discipline nor a kernel version. */
function disciplineOf(name: string): DisciplineName {
  if (isDiscipline(name)) return name;
  if (/^v?\d/.test(name)) return queueOfKernel(name);
  throw new RangeError(
    `"${name}" is not a discipline; disciplines are ${Object.keys(DISCIPLINES).join(', ')}; a kernel version is allowed, too`,
  );
}

const isDiscipline = (name: string): name is DisciplineName => Object.hasOwn(DISCIPLINES, name);

function outcomesOf(text: string): readonly Outcome[] {
  return text.split('|').map((word) => {
    const found = OUTCOMES.find((outcome) => outcome === word.trim());
    if (found === undefined)
      throw new RangeError(`Allowed choices are ${OUTCOMES.join(', ')}; "${word.trim()}" is not one of them`);
    return found;
  });
}
