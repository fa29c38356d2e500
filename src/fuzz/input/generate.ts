import type { Draws } from './draws.js';
import type { Field, FuzzRecord, FuzzValue, Grammar, IntegerField, OctetsField, RecordField, Step } from './grammar.js';

/** Boundaries of integer widths and of pages, where errors in sizes, offsets and counts occur. */
const ends = [
  ...[0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 4095, 4096, 4097, 65_535, 65_536],
  ...[2 ** 31 - 1, 2 ** 31, 2 ** 32 - 2, 2 ** 32 - 1, 2 ** 32, 2 ** 48, 2 ** 52, 2 ** 53, 2 ** 63, 2 ** 64 - 2 ** 11],
];

export function generateStep(grammar: Grammar, draws: Draws): Step {
  return generateRecord(grammar.steps, draws) as Step;
}

export function generate(field: Field, draws: Draws): FuzzValue {
  switch (field.type) {
    case 'integer':
      return generateInteger(field, draws);
    case 'choice':
      return draws.of(field.of);
    case 'octets':
      return generateOctets(field, draws);
    case 'list':
      if (field.usual !== undefined && field.usual.length > 0 && draws.chance(0.5)) return draws.of(field.usual);
      return Array.from({ length: draws.below(field.max + 1) }, () => generate(field.of, draws));
    case 'record':
      return generateRecord(field, draws);
    default:
      return field satisfies never;
  }
}

export function generateInteger({ max, usual }: IntegerField, draws: Draws): number {
  if (usual.length > 0 && draws.chance(0.6)) return draws.of(usual);
  if (draws.chance(0.5)) {
    const end = draws.of(ends);
    if (end <= max) return end;
  }
  // Uniform in the logarithm.
  return Math.floor(Math.min(max, 2 ** (draws.next() * Math.log2(max + 1)) - 1));
}

export function generateOctets({ maxLength, usual }: OctetsField, draws: Draws): string {
  if (usual.length > 0 && draws.chance(0.5)) return draws.of(usual);
  const length = draws.chance(0.9) ? draws.below(Math.min(maxLength, 64) + 1) : draws.below(maxLength + 1);
  // Long strings repeat one octet: their content is rarely relevant.
  if (length > 64) return hexOctet(draws.of([0, 0xff, 0x41, draws.below(256)])).repeat(length);
  return Array.from({ length }, () => hexOctet(draws.below(256))).join('');
}

function generateRecord({ of, weights = {} }: RecordField, draws: Draws): FuzzRecord {
  const kinds = Object.keys(of);
  const weightOf = (kind: string) => weights[kind] ?? 1;
  let left = draws.next() * kinds.reduce((sum, kind) => sum + weightOf(kind), 0);
  const drawn = kinds.find((each) => {
    left -= weightOf(each);
    return left < 0;
  });
  const kind = drawn ?? kinds[0] ?? '';
  return recordOfKind(kind, of[kind] ?? {}, draws);
}

export function recordOfKind(kind: string, fields: Readonly<Record<string, Field>>, draws: Draws): FuzzRecord {
  const record: Record<string, FuzzValue> = { kind };
  for (const [name, field] of Object.entries(fields)) record[name] = generate(field, draws);
  return record;
}

export function hexOctet(octet: number): string {
  return octet.toString(16).padStart(2, '0');
}
