import { type Uuid, uuidOctets } from '../../protocol/uuid.js';
import { hexOctet } from '../input/generate.js';
import {
  type Field,
  type FuzzValue,
  type Grammar,
  type IntegerField,
  type OctetsField,
  recordOf,
  type Step,
} from '../input/grammar.js';
import type { KnownImage } from './known-image.js';
import { parametersOfTypes } from './parameter-types.js';
import type { SurroundingsKind } from './surroundings.js';

/** The largest size of a memory reference, in octets. */
export const mostOctets = 4096;
export const mostSessions = 4;
/** The largest number of other applications' UUIDs in the grammar. */
const mostOthers = 8;

/** What is known about an application. */
export interface KnownApplication {
  readonly uuid: Uuid;
  /** Other applications that exist; their UUIDs are used as data. */
  readonly others: readonly Uuid[];
  readonly commands: readonly KnownCommand[];
  /** Undefined for a pseudo-TA, and for an image that cannot be read. */
  readonly image?: KnownImage | undefined;
}

export interface KnownCommand {
  readonly number: number;
  readonly name?: string | undefined;
  /** In the notation of the command line: `none`, `value.inout`, `memref.input=16`. */
  readonly parameters: readonly KnownParameter[];
}

export type KnownParameter =
  | { readonly kind: 'none' }
  | { readonly kind: 'value'; readonly direction: string }
  | { readonly kind: 'memref'; readonly direction: string; readonly octets: number };

const word = 2 ** 32 - 1;
const direction: Field = { type: 'choice', of: ['input', 'output', 'inout'] };
const number: IntegerField = { type: 'integer', max: word, usual: [0, 1, 2, 3, 4, 8, 16, 32, 64, 4096, 2 ** 31, word] };

/** The largest number of constants of an image that are used for one purpose. */
const mostConstants = 32;
const unknownCommands = Array.from({ length: 24 }, (_, command) => command);
/** TEE_ERROR_CORRUPT_OBJECT: the codes of errors begin here. */
const firstResult = 0xf010_0001;

/** Sessions, and commands with up to four parameters of any types. */
export function applicationGrammar(
  { uuid, others, commands, image }: KnownApplication,
  surroundings?: Pick<SurroundingsKind, 'steps' | 'weights'>,
): Grammar {
  const known = others.slice(0, mostOthers).flatMap(bothForms);
  const { equal, compared } = constantsOf(image);
  // A limit and the first value beyond it.
  const limits = compared.slice(0, mostConstants).flatMap((limit) => [limit, Math.min(limit + 1, word)]);
  const sizes = new Set([...lengths, ...equal.slice(0, mostConstants).filter((size) => size <= mostOctets)]);
  const zeros = [...sizes].map((length) => '00'.repeat(length));
  const own = bothForms(uuid);
  // The application's own UUID is as likely as all others together: it may make the application open a session to
  // itself.
  const often = Array.from({ length: Math.ceil(known.length / own.length) + 1 }, () => own).flat();
  const octets: OctetsField = { type: 'octets', maxLength: mostOctets, usual: [...often, ...known, ...zeros] };
  const amount: IntegerField = { ...number, usual: [...new Set([...number.usual, ...limits])] };
  const parameter: Field = {
    type: 'record',
    of: {
      none: {},
      value: { direction, a: amount, b: amount },
      memref: { direction, octets },
      'null-memref': { direction },
    },
    weights: { none: 2, value: 2, memref: 3 },
  };
  const parameters: Field = { type: 'list', of: parameter, max: 4, usual: usualParameters(image) };
  const further = equal.filter((constant) => constant >= unknownCommands.length).slice(0, mostConstants);
  const usual = commands.length > 0 ? commands.map((each) => each.number) : [...unknownCommands, ...further];
  const loads = image?.loadsOften === true;
  const session: IntegerField = { type: 'integer', max: mostSessions - 1, usual: [0, 0, 1] };
  return {
    maxSteps: 12,
    steps: {
      type: 'record',
      of: {
        invoke: { session, command: { type: 'integer', max: word, usual }, parameters },
        open: { parameters },
        close: { session },
        renew: {},
        ...surroundings?.steps,
      },
      weights: { invoke: 24, open: loads ? 0.2 : 2, renew: 0.1, ...surroundings?.weights },
    },
  };
}

/** Without results of the APIs, which code compares with more often than with anything else. */
function constantsOf(image: KnownImage | undefined): KnownImage['constants'] {
  const isOther = (constant: number) => constant < firstResult;
  const { equal = [], compared = [] } = image?.constants ?? {};
  return { equal: equal.filter(isOther), compared: compared.filter(isOther) };
}

/** Parameters of the types that the application compares with. */
function usualParameters(image: KnownImage | undefined): readonly (readonly FuzzValue[])[] {
  return constantsOf(image)
    .equal.flatMap((types) => {
      const parameters = parametersOfTypes(types);
      return parameters === undefined ? [] : [parameters];
    })
    .slice(0, mostConstants);
}

/**
 * One input for each known command, and a few unknown commands. Without known commands, each likely one with parameters
 * of each type that the application compares with.
 */
export function applicationSeeds({
  commands,
  image,
}: KnownApplication): readonly { readonly steps: readonly Step[] }[] {
  const invoke = (command: number, parameters: readonly FuzzValue[]): Step => ({
    kind: 'invoke',
    session: 0,
    command,
    parameters,
  });
  const known = commands.map((each) => ({ steps: [invoke(each.number, each.parameters.map(seedOf))] }));
  const likely =
    commands.length > 0
      ? []
      : unknownCommands.flatMap((command) =>
          usualParameters(image).map((parameters) => ({ steps: [invoke(command, parameters)] })),
        );
  return [
    ...known,
    { steps: [invoke(0, [])] },
    { steps: [invoke(1, [{ kind: 'value', direction: 'inout', a: 1, b: 2 }])] },
    { steps: [invoke(2, [{ kind: 'memref', direction: 'inout', octets: '00'.repeat(16) }])] },
    {
      steps: [
        { kind: 'open', parameters: [] },
        { ...invoke(3, [{ kind: 'value', direction: 'output', a: 0, b: 0 }]), session: 1 },
      ],
    },
    ...likely,
  ];
}

const lengths = [0, 1, 4, 8, 12, 16, 32, 64, 256];

function seedOf(parameter: KnownParameter): FuzzValue {
  switch (parameter.kind) {
    case 'none':
      return { kind: 'none' };
    case 'value':
      return { kind: 'value', direction: parameter.direction, a: 1, b: 1 };
    case 'memref':
      return { kind: 'memref', direction: parameter.direction, octets: '00'.repeat(parameter.octets) };
    default:
      return parameter satisfies never;
  }
}

/** The UUID in the layout of `TEE_UUID`, and as it is in messages. */
function bothForms(uuid: Uuid): readonly string[] {
  return [structUuid(uuid), hex(uuidOctets(uuid))];
}

/** `TEE_UUID` in memory: three little-endian integers, then eight octets. */
function structUuid(uuid: Uuid): string {
  const octets = uuidOctets(uuid);
  const part = (from: number, to: number) => [...octets.subarray(from, to)].reverse();
  return hex(Uint8Array.from([...part(0, 4), ...part(4, 6), ...part(6, 8), ...octets.subarray(8)]));
}

function hex(octets: Uint8Array): string {
  return [...octets].map(hexOctet).join('');
}

/** A step as text: `invoke command 5 in session 0 with memref.input of 16 octets d0e6...`. */
export function applicationStepInWords(step: Step): string {
  const parameters = Array.isArray(step.parameters)
    ? (step.parameters as readonly FuzzValue[]).map(parameterInWords)
    : [];
  const given = parameters.length === 0 ? 'without parameters' : `with ${parameters.join(', ')}`;
  switch (step.kind) {
    case 'invoke':
      return `invoke command ${String(step.command)} in session ${String(step.session)} ${given}`;
    case 'open':
      return `open another session ${given}`;
    case 'close':
      return `close session ${String(step.session)}, unless it is the first`;
    case 'renew':
      return 'close all sessions, and open the first again';
    default: {
      const { kind, ...fields } = step;
      return `${kind}: ${Object.entries(fields)
        .map(([name, field]) => `${name} ${String(field)}`)
        .join(', ')}`;
    }
  }
}

function parameterInWords(value: FuzzValue): string {
  const { kind, direction: way, a, b, octets } = recordOf(value) ?? {};
  switch (kind) {
    case 'value':
      return `value.${String(way)} a = ${String(a)}, b = ${String(b)}`;
    case 'memref': {
      const text = String(octets);
      return `memref.${String(way)} of ${text.length / 2} octets${text === '' ? '' : ` ${text.length > 64 ? `${text.slice(0, 64)}...` : text}`}`;
    }
    case 'null-memref':
      return `memref.${String(way)} of null`;
    default:
      return 'none';
  }
}
