import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolderSync } from '../../files/make-folder.js';
import { readRegularFileSync } from '../../files/read-regular-file.js';
import { writeWholeSync } from '../../files/write-whole.js';
import type { Draws } from '../input/draws.js';
import { type FuzzInput, type Grammar, grammarMistake } from '../input/grammar.js';

/** The number of newest inputs. One of these is drawn with the same probability as one of all others. */
const recent = 16;

/** An input that found new coverage, with the duration of its execution in milliseconds. */
export interface KeptInput {
  readonly input: FuzzInput;
  readonly ms: number;
}

/** Inputs that found new coverage, in a folder: one file for each, named by the hash of its content. */
export class Corpus {
  private readonly inputs: KeptInput[] = [];
  private readonly names = new Set<string>();
  /** The names of `inputs`: an input can reach new hit counts more than once. */
  private readonly kept = new Set<string>();
  private octets = 0;

  private constructor(private readonly folder: string) {}

  /** @throws the system's error if the folder cannot be created. */
  static open(folder: string): Corpus {
    makeFolderSync(folder);
    return new Corpus(folder);
  }

  get size(): number {
    return this.inputs.length;
  }

  /** Size of all inputs as files, in bytes. */
  get bytes(): number {
    return this.octets;
  }

  /**
   * Inputs of the folder that have not been returned yet, including those that other processes wrote. Inputs that do
   * not match the grammar are skipped.
   */
  *arrived(grammar: Grammar): Generator<FuzzInput> {
    for (const file of readdirSync(this.folder).sort()) {
      const [, name] = /^([0-9a-f]{16})\.json$/.exec(file) ?? [];
      if (name === undefined || this.names.has(name)) continue;
      this.names.add(name);
      const input = readInput(join(this.folder, file));
      if (input !== undefined && grammarMistake(grammar, input) === undefined) yield input;
    }
  }

  /** Store an input. @returns false if it is stored already. */
  keep({ input, ms }: KeptInput): boolean {
    const text = inputText(input);
    const name = inputName(text);
    const isNew = !this.names.has(name);
    this.names.add(name);
    if (!this.kept.has(name)) {
      this.kept.add(name);
      this.inputs.push({ input, ms });
      this.octets += text.length;
    }
    if (!isNew) return false;
    const path = join(this.folder, `${name}.json`);
    // Write atomically, because other processes read the folder.
    writeWholeSync(path, text);
    return true;
  }

  /** Draw an input, with a preference for those that take less time; undefined if the corpus is empty. */
  draw(draws: Draws): KeptInput | undefined {
    const { length } = this.inputs;
    if (length === 0) return undefined;
    const from = draws.chance(0.5) ? Math.max(0, length - recent) : 0;
    const [one, other] = [0, 0].map(() => this.inputs[from + draws.below(length - from)]);
    return one !== undefined && other !== undefined && other.ms < one.ms ? other : one;
  }
}

export function inputText({ steps }: FuzzInput): string {
  return `${JSON.stringify({ steps })}\n`;
}

function inputName(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** Undefined if the file is not an input: not completely written yet, or a foreign file. */
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
