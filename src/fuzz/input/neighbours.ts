import type { Draws } from './draws.js';
import { generateStep, recordOfKind } from './generate.js';
import type { Field, FuzzInput, FuzzValue, Grammar, Step } from './grammar.js';
import { changeablePlaces } from './mutate.js';

/** Number of continuations for each input. */
const continuations = 32;

/** Continuations of an input by one step, and inputs that differ in one value, which is a usual value of its field. */
export function* neighbours(grammar: Grammar, { steps }: FuzzInput, draws: Draws): Generator<FuzzInput> {
  if (steps.length < grammar.maxSteps)
    for (let time = 0; time < continuations; time++) yield { steps: [...steps, generateStep(grammar, draws)] };
  for (const [index, step] of steps.entries())
    for (const { field, value, replace } of changeablePlaces(grammar, step))
      for (const other of alternatives(field, draws))
        if (other !== value) yield { steps: steps.with(index, replace(other) as Step) };
}

function* alternatives(field: Field, draws: Draws): Generator<FuzzValue> {
  switch (field.type) {
    case 'integer':
    case 'octets':
      yield* new Set<FuzzValue>(field.usual);
      return;
    case 'choice':
      yield* field.of;
      return;
    case 'record':
      for (const [kind, fields] of Object.entries(field.of)) yield recordOfKind(kind, fields, draws);
      return;
    case 'list':
      // The length of other lists is changed by random mutation.
      yield* field.usual ?? [];
      return;
    default:
      field satisfies never;
  }
}
