import type { Draws } from '../input/draws.js';
import { type FuzzInput, recordOf, type Step } from '../input/grammar.js';

/** An input is executed without restriction up to this multiple of the usual duration. */
const patience = 4;
/** The last executions of a class of steps that its average reflects. */
const memory = 64;
/** Classes of steps that are told apart. Steps of further classes count as the average of all. */
const mostClasses = 4096;

interface Average {
  times: number;
  ms: number;
}

/**
 * How long the steps of each class take, measured, so that no class takes much more of a run's time than others: a
 * command that runs for 100 ms is executed as seldom as it must be for the same time as thousands of short ones. A class
 * is the kind of a step with the numbers of its command and function, and with the kinds of its parameters, because
 * these often decide whether an input ends the machine.
 */
export class StepTimes {
  private readonly classes = new Map<string, Average>();
  private readonly all: Average = { times: 0, ms: 1 };
  /** The average of the logarithm of durations: a few long inputs do not change what is usual. */
  private readonly usual: Average = { times: 0, ms: 0 };

  /** The expected duration of an input in milliseconds. */
  expected({ steps }: FuzzInput): number {
    return steps.reduce((sum, step) => sum + this.ofStep(step), 0);
  }

  /** @param ms the measured duration of an input, with the restart that it caused. */
  learn(input: FuzzInput, ms: number): void {
    const expected = this.expected(input);
    for (const step of input.steps) {
      const share = (ms * this.ofStep(step)) / expected;
      for (const name of new Set(classesOf(step))) {
        const average = this.classes.get(name) ?? { times: 0, ms: share };
        if (average.times === 0 && this.classes.size < mostClasses) this.classes.set(name, average);
        add(average, share);
      }
      add(this.all, share);
    }
    add(this.usual, Math.log(Math.max(ms, 0.001)));
  }

  /** Whether an input that takes so long is executed now: with the probability that gives it the time of a usual one. */
  admits(ms: number, draws: Draws): boolean {
    if (this.usual.times === 0) return true;
    const longest = patience * Math.exp(this.usual.ms);
    return ms <= longest || draws.chance(longest / ms);
  }

  private ofStep(step: Step): number {
    const [narrow, wide] = classesOf(step);
    return Math.max((this.classes.get(narrow) ?? this.classes.get(wide) ?? this.all).ms, 0.0001);
  }
}

type Classes = readonly [narrow: string, wide: string];

/** Inputs share most of their steps with those that they come from. */
const classesOfSteps = new WeakMap<Step, Classes>();

/** The class of a step, and the wider one that counts while nothing is known of the class. */
function classesOf(step: Step): Classes {
  const before = classesOfSteps.get(step);
  if (before !== undefined) return before;
  const classes = findClasses(step);
  classesOfSteps.set(step, classes);
  return classes;
}

function findClasses({ kind, command, function: number, parameters }: Step): Classes {
  const wide = [kind, command, number].filter((part) => typeof part !== 'object').join(' ');
  if (!Array.isArray(parameters)) return [wide, wide];
  const kinds = parameters.map((each) => {
    const { kind: kindOfParameter, direction } = recordOf(each) ?? {};
    return `${kindOfParameter}.${direction}`;
  });
  return [`${wide}: ${kinds.join(' ')}`, wide];
}

function add(average: Average, value: number): void {
  average.times = Math.min(average.times + 1, memory);
  average.ms += (value - average.ms) / average.times;
}
