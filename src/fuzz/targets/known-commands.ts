import { parse } from 'yaml';
import { z } from 'zod';
import { readWhole } from '../../files/read-whole.js';
import type { KnownCommand, KnownParameter } from './application-grammar.js';
import { mostOctets } from './application-grammar.js';

/** In octets. */
const longestDescription = 2 ** 20;

const shape = z.strictObject({
  commands: z.array(
    z.strictObject({
      number: z.number().int().min(0).max(0xffff_ffff),
      name: z.string().optional(),
      parameters: z.array(z.string()).max(4).default([]),
    }),
  ),
});

/**
 * Read a description of an application's commands: `commands` is a list with `number`, `name` and `parameters`; each
 * parameter is `none`, `value.inout` or `memref.input=16` (octets).
 * @throws RangeError naming file and place; the system's error if the file cannot be read.
 */
export async function readKnownCommands(path: string): Promise<readonly KnownCommand[]> {
  const text = (await readWhole(path, longestDescription)).toString('utf8');
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw new RangeError(`${path}: ${(error as Error).message}`);
  }
  const parsed = shape.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new RangeError(
      `${path}: ${issue?.path.join('.') || 'the file'}: ${issue?.message ?? 'is not a description of commands'}`,
    );
  }
  return parsed.data.commands.map(({ number, name, parameters }) => ({
    ...{ number, name },
    parameters: parameters.map((each) => parameterOf(each, path)),
  }));
}

function parameterOf(text: string, path: string): KnownParameter {
  const [, kind, direction = '', size = '64'] =
    /^(none|value|memref)(?:\.(input|output|inout))?(?:=(\d+))?$/.exec(text) ?? [];
  if (kind === 'none') return { kind: 'none' };
  if (kind === 'value' && direction !== '') return { kind: 'value', direction };
  if (kind === 'memref' && direction !== '' && Number(size) <= mostOctets)
    return { kind: 'memref', direction, octets: Number(size) };
  throw new RangeError(
    `${path}: parameter "${text}" is not one of none, value.input, value.output, value.inout, memref.input=SIZE, memref.output=SIZE, ` +
      `memref.inout=SIZE, of up to ${mostOctets} octets`,
  );
}
