import type { Draws } from './draws.js';
import { generate, generateInteger, generateOctets, generateStep, hexOctet } from './generate.js';
import {
  type Field,
  type FuzzInput,
  type FuzzRecord,
  type FuzzValue,
  type Grammar,
  recordOf,
  type Step,
} from './grammar.js';

/** A value in an input, and a function that returns the input with another value in its place. */
export interface Place {
  readonly field: Field;
  readonly value: FuzzValue;
  readonly replace: (value: FuzzValue) => Step;
}

/**
 * Mutate an input: a few changes of its sequence or of its values.
 * @param other another input of the corpus, from which parts are taken.
 */
export function mutate(grammar: Grammar, input: FuzzInput, other: FuzzInput, draws: Draws): FuzzInput {
  let { steps } = input;
  for (let changes = 1 << draws.below(3); changes > 0; changes--) {
    const changed = draws.chance(0.3)
      ? changeSequence(grammar, steps, other.steps, draws)
      : changeValue(grammar, steps, draws);
    if (changed.length <= grammar.maxSteps) steps = changed;
  }
  return { steps: steps.length === 0 ? [generateStep(grammar, draws)] : steps };
}

function changeSequence(
  grammar: Grammar,
  steps: readonly Step[],
  others: readonly Step[],
  draws: Draws,
): readonly Step[] {
  const at = draws.below(steps.length + 1);
  switch (draws.below(6)) {
    case 0:
      return steps.toSpliced(at, 0, generateStep(grammar, draws));
    case 1:
      return steps.length > 1 ? steps.toSpliced(draws.below(steps.length), 1) : steps;
    case 2:
      return steps.length > 0 ? steps.toSpliced(at, 0, draws.of(steps)) : steps;
    case 3:
      return others.length > 0 ? steps.toSpliced(at, 0, draws.of(others)) : steps;
    case 4:
      // Crossover: the beginning of one input and the end of the other.
      return [...steps.slice(0, at), ...others.slice(draws.below(others.length + 1))];
    default: {
      if (steps.length < 2) return steps;
      const from = draws.below(steps.length);
      const [moved] = steps.slice(from, from + 1);
      return moved === undefined ? steps : steps.toSpliced(from, 1).toSpliced(draws.below(steps.length), 0, moved);
    }
  }
}

function changeValue(grammar: Grammar, steps: readonly Step[], draws: Draws): readonly Step[] {
  if (steps.length === 0) return steps;
  const index = draws.below(steps.length);
  const step = steps[index];
  if (step === undefined) return steps;
  const places = changeablePlaces(grammar, step);
  if (places.length === 0) return steps.with(index, generateStep(grammar, draws));
  const { field, value, replace } = draws.of(places);
  // Copy the value of another field of the same type, so that related fields agree: a size and a buffer, or an address
  // used twice.
  const alike = places.filter((place) => place.field.type === field.type && place.value !== value);
  const copied = alike.length > 0 && field.type === 'integer' && draws.chance(0.1) ? draws.of(alike).value : undefined;
  const changed =
    typeof copied === 'number' && field.type === 'integer' && copied <= field.max
      ? copied
      : changedValue(field, value, draws);
  return steps.with(index, replace(changed));
}

/** Every value of a step, but not the step itself, which is changed by changing the sequence. */
export function changeablePlaces(grammar: Grammar, step: Step): Place[] {
  const places: Place[] = [];
  collect(grammar.steps, step, (value) => value as Step, places);
  places.shift();
  return places;
}

function collect(field: Field, value: FuzzValue, replace: (value: FuzzValue) => Step, places: Place[]): void {
  places.push({ field, value, replace });
  if (field.type === 'list' && Array.isArray(value)) {
    const list = value as readonly FuzzValue[];
    for (const [index, each] of list.entries())
      collect(field.of, each, (changed) => replace(list.with(index, changed)), places);
  } else if (field.type === 'record') {
    const record = recordOf(value);
    if (record === undefined) return;
    for (const [name, of] of Object.entries(field.of[String(record.kind)] ?? {})) {
      const part = record[name];
      if (part !== undefined) collect(of, part, (changed) => replace({ ...record, [name]: changed }), places);
    }
  }
}

function changedValue(field: Field, value: FuzzValue, draws: Draws): FuzzValue {
  switch (field.type) {
    case 'integer': {
      if (typeof value !== 'number' || draws.chance(0.5)) return generateInteger(field, draws);
      if (draws.chance(0.5)) return wrapped(value + (draws.below(2) * 2 - 1) * (1 + draws.below(16)), field.max);
      const bit = 2 ** draws.below(Math.ceil(Math.log2(field.max + 1)));
      return wrapped(Math.floor(value / bit) % 2 === 0 ? value + bit : value - bit, field.max);
    }
    case 'choice':
      return draws.of(field.of);
    case 'octets':
      return typeof value !== 'string' || draws.chance(0.3)
        ? generateOctets(field, draws)
        : changedOctets(value, draws).slice(0, 2 * field.maxLength);
    case 'list': {
      if (!Array.isArray(value)) return generate(field, draws);
      if (field.usual !== undefined && field.usual.length > 0 && draws.chance(0.3)) return draws.of(field.usual);
      const list = value as readonly FuzzValue[];
      const at = draws.below(list.length + 1);
      if (list.length < field.max && draws.chance(0.5)) return list.toSpliced(at, 0, generate(field.of, draws));
      return list.length > 0 ? list.toSpliced(draws.below(list.length), 1) : list;
    }
    case 'record': {
      const fresh = recordOf(generate(field, draws));
      const old = recordOf(value);
      // Change the alternative and keep the common fields: their values get another meaning.
      return fresh === undefined || old === undefined || draws.chance(0.3)
        ? (fresh ?? value)
        : keeping(fresh, old, field.of);
    }
    default:
      return field satisfies never;
  }
}

function keeping(
  fresh: FuzzRecord,
  old: FuzzRecord,
  kinds: Readonly<Record<string, Readonly<Record<string, Field>>>>,
): FuzzRecord {
  const ours = kinds[String(fresh.kind)] ?? {};
  const theirs = kinds[String(old.kind)] ?? {};
  const kept = Object.keys(ours).filter((name) => ours[name] === theirs[name]);
  return {
    ...fresh,
    ...Object.fromEntries(kept.flatMap((name) => (old[name] === undefined ? [] : [[name, old[name]]]))),
  };
}

function wrapped(value: number, max: number): number {
  return value < 0 ? Math.max(0, max + 1 + value) : Math.min(max, value);
}

function changedOctets(hex: string, draws: Draws): string {
  const octets: string[] = hex.match(/../g) ?? [];
  const at = draws.below(octets.length + 1);
  switch (draws.below(5)) {
    case 0:
      return octets.toSpliced(at, 0, hexOctet(draws.below(256))).join('');
    case 1:
      return octets.toSpliced(at, 1 + draws.below(8)).join('');
    case 2:
      return [...octets, ...octets].join('');
    case 3: {
      // A little-endian word with a value that is meaningful as a size.
      const word = draws.of([0, 1, 0x7fff_ffff, 0xffff_ffff, octets.length, draws.below(0x1000)]);
      const bytes = [0, 8, 16, 24].map((shift) => hexOctet((word >>> shift) & 0xff));
      return octets.toSpliced(at - (at % 4), 4, ...bytes).join('');
    }
    default: {
      const octet = octets[at];
      if (octet === undefined) return hex;
      return octets.with(at, hexOctet(Number.parseInt(octet, 16) ^ (1 << draws.below(8)))).join('');
    }
  }
}
