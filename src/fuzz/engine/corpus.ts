import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readRegularFileSync } from '../../files/read-regular-file.js';
import type { Draws } from '../input/draws.js';
import { type FuzzInput, type Grammar, grammarMistake } from '../input/grammar.js';

/** Of those that came last, which are drawn as often as all others together. */
const recent = 16;

/** Inputs that met something new, in a folder: a file each, named by what is in it. */
export class Corpus {
  private readonly inputs: FuzzInput[] = [];
  private readonly names = new Set<string>();
  private octets = 0;

  private constructor(private readonly folder: string) {}

  /** @throws the system's error when the folder cannot be made. */
  static open(folder: string): Corpus {
    mkdirSync(folder, { recursive: true });
    return new Corpus(folder);
  }

  get size(): number {
    return this.inputs.length;
  }

  /** Of all inputs, as files. */
  get bytes(): number {
    return this.octets;
  }

  /** Inputs in the folder that were not taken yet, of others as well. What is none of the grammar is passed over. */
  *arrived(grammar: Grammar): Generator<FuzzInput> {
    for (const file of readdirSync(this.folder).sort()) {
      const [, name] = /^([0-9a-f]{16})\.json$/.exec(file) ?? [];
      if (name === undefined || this.names.has(name)) continue;
      this.names.add(name);
      const input = readInput(join(this.folder, file));
      if (input !== undefined && grammarMistake(grammar, input) === undefined) yield input;
    }
  }

  /** Keep one. @returns false when it is there already. */
  keep(input: FuzzInput): boolean {
    const text = inputText(input);
    const name = inputName(text);
    const isNew = !this.names.has(name);
    this.names.add(name);
    this.inputs.push(input);
    this.octets += text.length;
    if (!isNew) return false;
    const path = join(this.folder, `${name}.json`);
    // Whole or not at all: others may read the folder.
    writeFileSync(`${path}.tmp`, text);
    renameSync(`${path}.tmp`, path);
    return true;
  }

  /** One to go on from, rather a short one; undefined when there is none. */
  draw(draws: Draws): FuzzInput | undefined {
    const { length } = this.inputs;
    if (length === 0) return undefined;
    const from = draws.chance(0.5) ? Math.max(0, length - recent) : 0;
    const [one, other] = [0, 0].map(() => this.inputs[from + draws.below(length - from)]);
    return one !== undefined && other !== undefined && other.steps.length < one.steps.length ? other : one;
  }
}

export function inputText({ steps }: FuzzInput): string {
  return `${JSON.stringify({ steps })}\n`;
}

function inputName(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** Undefined for what is no input: a file that another has not finished, or that somebody put there. */
function readInput(path: string): FuzzInput | undefined {
  try {
    const parsed: unknown = JSON.parse(readRegularFileSync(path).toString());
    return typeof parsed === 'object' && parsed !== null && Array.isArray((parsed as { steps?: unknown }).steps)
      ? (parsed as FuzzInput)
      : undefined;
  } catch {
    return undefined;
  }
}
