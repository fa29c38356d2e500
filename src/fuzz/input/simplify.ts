import {
  type Field,
  type FuzzInput,
  type FuzzRecord,
  type FuzzValue,
  type Grammar,
  recordOf,
  type Step,
} from './grammar.js';

/** Simpler inputs, the largest simplification first: fewer steps, shorter lists, fewer octets, smaller integers. */
export function* simplerInputs(grammar: Grammar, { steps }: FuzzInput): Generator<FuzzInput> {
  for (let size = steps.length >> 1; size >= 1; size >>= 1)
    for (let at = 0; at + size <= steps.length; at += size) {
      if (steps.length > size) yield { steps: steps.toSpliced(at, size) };
    }
  for (const [index, step] of steps.entries())
    for (const simpler of simplerValues(grammar.steps, step)) yield { steps: steps.with(index, simpler as Step) };
}

function* simplerValues(field: Field, value: FuzzValue): Generator<FuzzValue> {
  switch (field.type) {
    case 'integer':
      if (typeof value !== 'number' || value === 0) return;
      yield 0;
      if (value > 2) yield Math.floor(value / 2);
      if (value > 1) yield value - 1;
      return;
    case 'choice':
      if (value !== field.of[0]) yield field.of[0];
      return;
    case 'octets':
      if (typeof value !== 'string' || value === '') return;
      yield '';
      if (value.length >= 4) {
        const half = 2 * (value.length >> 2);
        yield value.slice(0, half);
        yield value.slice(half);
      }
      if (/[^0]/.test(value)) yield '0'.repeat(value.length);
      return;
    case 'list': {
      if (!Array.isArray(value)) return;
      const list = value as readonly FuzzValue[];
      for (let at = list.length - 1; at >= 0; at--) yield list.toSpliced(at, 1);
      for (const [index, each] of list.entries())
        for (const simpler of simplerValues(field.of, each)) yield list.with(index, simpler);
      return;
    }
    case 'record': {
      const record = recordOf(value);
      if (record !== undefined) yield* simplerRecords(field.of[String(record.kind)] ?? {}, record);
      return;
    }
    default:
      field satisfies never;
  }
}

function* simplerRecords(fields: Readonly<Record<string, Field>>, record: FuzzRecord): Generator<FuzzRecord> {
  for (const [name, field] of Object.entries(fields)) {
    const part = record[name];
    if (part === undefined) continue;
    for (const simpler of simplerValues(field, part)) yield { ...record, [name]: simpler };
  }
}
