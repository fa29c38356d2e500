import { type Command, InvalidArgumentError, Option } from 'commander';
import type { DisciplineName } from '../../optee/call-queue/call-queue.js';
import { DISCIPLINES } from '../../optee/call-queue/disciplines.js';
import { type Expectation, expectationForm, parseExpectation } from '../../scenario/expectation.js';
import { queueOfKernel } from '../../scenario/kernel-queue.js';
import { seedLimit } from '../../scenario/run-scenario.js';
import { OutputOption } from '../output/output-option.js';

export interface RunOptions {
  readonly queue?: readonly DisciplineName[];
  readonly kernel?: readonly DisciplineName[];
  readonly seed: number;
  readonly seeds?: { readonly from: number; readonly to: number };
  readonly set?: Readonly<Record<string, string>>;
  readonly expect?: Expectation;
  readonly json?: boolean;
  readonly junit?: string;
  readonly trace?: string;
}

const queueNames = () => Object.keys(DISCIPLINES);
const isQueueName = (name: string): name is DisciplineName => Object.hasOwn(DISCIPLINES, name);
const seedForm = `a whole number from 0 to ${seedLimit - 1}`;

/** The options of `run`. */
export function addRunOptions(command: Command): Command {
  return command
    .addOption(
      new Option('-q, --queue <name>', 'run under this discipline; may be repeated')
        .choices(queueNames())
        .argParser(addQueue),
    )
    .addOption(
      new Option(
        '-k, --kernel <version>',
        'run under the queue of this kernel, such as 6.1 or 6.12.8: linux-6.7 for 4.12 to 6.7, linux-6.8 for later ones; may be repeated',
      ).argParser(addKernel),
    )
    .addOption(
      new Option('-s, --seed <number>', `seed for open decisions about the order, and for random times: ${seedForm}`)
        .argParser(parseSeed)
        .default(1),
    )
    .addOption(
      new Option('--seeds <from..to>', 'run once for each of these seeds; prints how often each outcome occurred')
        .argParser(parseSeeds)
        .conflicts(['seed', 'trace']),
    )
    .addOption(
      new Option('--set <name=value>', 'a value for a parameter of the scenario; may be repeated').argParser(
        addSetting,
      ),
    )
    .addOption(
      new Option('--expect <outcomes>', `fail unless these are the outcomes: ${expectationForm}`).argParser(
        parseExpect,
      ),
    )
    .option('--json', 'print one JSON object; times in milliseconds')
    .addOption(new OutputOption('--junit <file.xml>', 'write expected and actual outcomes as JUnit XML'))
    .addOption(
      new OutputOption(
        '-t, --trace <file.nwt>',
        'record a trace; with several disciplines, one file for each: file.<discipline>.nwt; may be a folder',
      ),
    );
}

function addQueue(name: string, others: readonly DisciplineName[] = []): readonly DisciplineName[] {
  if (!isQueueName(name)) throw new InvalidArgumentError(`Allowed are ${queueNames().join(', ')}.`);
  return others.includes(name) ? others : [...others, name];
}

function addKernel(version: string, others: readonly DisciplineName[] = []): readonly DisciplineName[] {
  return addQueue(
    orInvalid(() => queueOfKernel(version)),
    others,
  );
}

function parseSeed(text: string): number {
  const seed = Number(text);
  if (!/^\d{1,10}$/.test(text) || seed >= seedLimit) throw new InvalidArgumentError(`Allowed is ${seedForm}.`);
  return seed;
}

function parseSeeds(text: string): { readonly from: number; readonly to: number } {
  const [first = '', last = '', ...more] = text.split('..');
  if (more.length > 0 || first === '' || last === '')
    throw new InvalidArgumentError('Allowed is a range of seeds, such as 1..500.');
  const [from, to] = [parseSeed(first), parseSeed(last)];
  if (to < from) throw new InvalidArgumentError('The smaller seed must come first.');
  return { from, to };
}

function addSetting(text: string, others: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const equals = text.indexOf('=');
  if (equals < 1) throw new InvalidArgumentError('Allowed is a name and a value, such as threads=4.');
  return { ...others, [text.slice(0, equals)]: text.slice(equals + 1) };
}

const parseExpect = (text: string): Expectation => orInvalid(() => parseExpectation(text));

function orInvalid<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof RangeError) throw new InvalidArgumentError(`${error.message}.`);
    throw error;
  }
}
