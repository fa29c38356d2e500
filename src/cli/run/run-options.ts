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
        'run under the queue of this kernel, such as 6.1 or 6.12.8: 4.12 to 6.7 have linux-6.7, later ones linux-6.8; may be repeated',
      ).argParser(addKernel),
    )
    .addOption(
      new Option('-s, --seed <number>', `decides every order that is open, and every time that is drawn: ${seedForm}`)
        .argParser(parseSeed)
        .default(1),
    )
    .addOption(
      new Option('--seeds <from..to>', 'run once for each of these seeds; prints how often each outcome came')
        .argParser(parseSeeds)
        .conflicts(['seed', 'trace']),
    )
    .addOption(
      new Option('--set <name=value>', "a value for a parameter of the scenario's; may be repeated").argParser(
        addSetting,
      ),
    )
    .addOption(
      new Option('--expect <outcomes>', `fail unless these are the outcomes: ${expectationForm}`).argParser(
        parseExpect,
      ),
    )
    .option('--json', 'print one JSON object; times in milliseconds')
    .addOption(new OutputOption('--junit <file.xml>', 'write what was expected and what came as JUnit XML'))
    .addOption(
      new OutputOption(
        '-t, --trace <file.nwt>',
        'record everything that happens; with several disciplines, one file for each: file.<discipline>.nwt; in a folder, if it is one',
      ),
    );
}

function addQueue(name: string, others: readonly DisciplineName[] = []): readonly DisciplineName[] {
  if (!isQueueName(name)) throw new InvalidArgumentError(`There are ${queueNames().join(', ')}.`);
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
  if (!/^\d{1,10}$/.test(text) || seed >= seedLimit) throw new InvalidArgumentError(`It is ${seedForm}.`);
  return seed;
}

function parseSeeds(text: string): { readonly from: number; readonly to: number } {
  const [first = '', last = '', ...more] = text.split('..');
  if (more.length > 0 || first === '' || last === '')
    throw new InvalidArgumentError('It is a range of seeds, such as 1..500.');
  const [from, to] = [parseSeed(first), parseSeed(last)];
  if (to < from) throw new InvalidArgumentError('The smaller seed comes first.');
  return { from, to };
}

function addSetting(text: string, others: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const equals = text.indexOf('=');
  if (equals < 1) throw new InvalidArgumentError('It is a name and a value, such as threads=4.');
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
