import { none, type Parameter, temporary, value } from '../../client/parameters.js';
import { readWhole } from '../../files/read-whole.js';

/** In octets; larger than the shared memory of any TEE here. */
const longestData = 2 ** 28;

/** A parameter of an operation from the command line, and the file for its output. */
export interface OperationArgument {
  readonly parameter: Parameter;
  readonly file: string | undefined;
  /** The file with its data. */
  readonly input?: string;
}

export const operationArgumentForms = `Parameters, at most four:
  none
  value.input=A[,B]            integers, decimal or 0x...
  value.output
  value.inout=A[,B]
  memref.input=DATA
  memref.output=SIZE[,FILE]    bytes; the output is printed, or written to FILE
  memref.inout=DATA[,FILE]
DATA is text:..., hex:... or @FILE.`;

/** @throws RangeError naming the argument and what is wrong with it; the system's error if a file cannot be read. */
export async function parseOperationArgument(text: string): Promise<OperationArgument> {
  const [, form = '', rest] = /^([^=]*)(?:=(.*))?$/s.exec(text) ?? [];
  const wrong = (why: string) => new RangeError(`parameter "${text}": ${why}`);
  const given = () => {
    if (rest === undefined) throw wrong(`${form} takes a value: ${form}=...`);
    return rest;
  };
  const nothing = () => {
    if (rest !== undefined) throw wrong(`${form} takes no value`);
  };
  switch (form) {
    case 'none':
      nothing();
      return { parameter: none, file: undefined };
    case 'value.input':
      return { parameter: value.input(...twoIntegers(given(), wrong)), file: undefined };
    case 'value.output':
      nothing();
      return { parameter: value.output(), file: undefined };
    case 'value.inout':
      return { parameter: value.inout(...twoIntegers(given(), wrong)), file: undefined };
    case 'memref.input':
      return { parameter: temporary.input(await data(given(), wrong)), file: undefined, ...inputOf(given()) };
    case 'memref.output': {
      const [size, file] = withFile(given());
      return { parameter: temporary.output(integer(size, wrong)), file };
    }
    case 'memref.inout': {
      const [content, file] = withFile(given());
      return { parameter: temporary.inout(await data(content, wrong)), file, ...inputOf(content) };
    }
    default:
      throw wrong(
        'expected one of none, value.input, value.output, value.inout, memref.input, memref.output, memref.inout',
      );
  }
}

type Wrong = (why: string) => RangeError;

function integer(text: string, wrong: Wrong): number {
  const number = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN;
  if (!(number <= 0xffff_ffff)) throw wrong(`"${text}" is not an integer from 0 to 0xffffffff`);
  return number;
}

function twoIntegers(text: string, wrong: Wrong): [number, number] {
  const [a = '', b = '0', ...more] = text.split(',');
  if (more.length > 0) throw wrong('a value has two integers');
  return [integer(a, wrong), integer(b, wrong)];
}

/** The output file follows the last comma. */
function withFile(text: string): [string, string | undefined] {
  const comma = text.lastIndexOf(',');
  return comma < 0 ? [text, undefined] : [text.slice(0, comma), text.slice(comma + 1)];
}

function inputOf(text: string): { readonly input?: string } {
  return text.startsWith('@') ? { input: text.slice(1) } : {};
}

async function data(text: string, wrong: Wrong): Promise<Uint8Array> {
  const { input } = inputOf(text);
  if (input !== undefined) return new Uint8Array(await readWhole(input, longestData));
  if (text.startsWith('text:')) return new TextEncoder().encode(text.slice('text:'.length));
  if (!text.startsWith('hex:')) throw wrong(`"${text}" is not text:..., hex:... or @FILE`);
  const hex = text.slice('hex:'.length);
  if (!/^([0-9a-f]{2})*$/i.test(hex)) throw wrong(`"${hex}" is not hexadecimal with two digits per byte`);
  return Uint8Array.from(hex.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
}
