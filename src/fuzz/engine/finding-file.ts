import { z } from 'zod';
import type { FuzzInput, Step } from '../input/grammar.js';

/** The format name at the beginning of a finding file. */
export const findingFormat = 'normalworld-fuzz/1';

const stepShape = z.looseObject({ kind: z.string() });
const inputShape = z.object({ steps: z.array(stepShape) });
const shape = z.object({
  format: z.literal(findingFormat),
  target: z.object({ name: z.string(), uuid: z.string().optional() }),
  /** The system under test: its version and build. */
  on: z.string(),
  kind: z.string(),
  signature: z.string(),
  /** Number of tries on a fresh instance, and in how many of them the finding occurred. */
  came: z.object({ times: z.number(), tries: z.number() }),
  /** Inputs that must be executed first, on the same instance. */
  before: z.array(inputShape),
  steps: z.array(stepShape),
});

/** A finding that can be reproduced. */
export interface FindingFile {
  readonly target: { readonly name: string; readonly uuid?: string | undefined };
  readonly on: string;
  readonly kind: string;
  readonly signature: string;
  readonly came: { readonly times: number; readonly tries: number };
  readonly before: readonly FuzzInput[];
  readonly steps: readonly Step[];
}

/** The file is not a valid finding. */
export class FindingFileError extends Error {
  override readonly name = 'FindingFileError';
}

export function findingText(finding: FindingFile): string {
  return `${JSON.stringify({ format: findingFormat, ...finding }, null, 2)}\n`;
}

/** Whether a file claims to be a finding, valid or not. */
export function isFindingText(text: string): boolean {
  return text.slice(0, 400).includes('"normalworld-fuzz/');
}

/** @throws FindingFileError naming the invalid place. */
export function parseFinding(text: string): FindingFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new FindingFileError(`not JSON: ${(error as Error).message}`);
  }
  const parsed = shape.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new FindingFileError(`${issue?.path.join('.') || 'the file'}: ${issue?.message ?? 'not a finding'}`);
  }
  const { format: _, ...finding } = parsed.data;
  return finding as FindingFile;
}
