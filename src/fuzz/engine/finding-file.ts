import { z } from 'zod';
import type { FuzzInput, Step } from '../input/grammar.js';

/** What a file of a finding begins with. */
export const findingFormat = 'normalworld-fuzz/1';

const stepShape = z.looseObject({ kind: z.string() });
const inputShape = z.object({ steps: z.array(stepShape) });
const shape = z.object({
  format: z.literal(findingFormat),
  target: z.object({ name: z.string(), uuid: z.string().optional() }),
  /** What it was found on. */
  on: z.string(),
  kind: z.string(),
  signature: z.string(),
  /** How often it came in how many tries on a fresh one. */
  came: z.object({ times: z.number(), tries: z.number() }),
  /** What has to be executed before, on the same one. */
  before: z.array(inputShape),
  steps: z.array(stepShape),
});

/** A finding that can be executed again. */
export interface FindingFile {
  readonly target: { readonly name: string; readonly uuid?: string | undefined };
  readonly on: string;
  readonly kind: string;
  readonly signature: string;
  readonly came: { readonly times: number; readonly tries: number };
  readonly before: readonly FuzzInput[];
  readonly steps: readonly Step[];
}

/** The file is no finding. */
export class FindingFileError extends Error {
  override readonly name = 'FindingFileError';
}

export function findingText(finding: FindingFile): string {
  return `${JSON.stringify({ format: findingFormat, ...finding }, null, 2)}\n`;
}

/** Whether a file is meant to be one, be it right or not. */
export function isFindingText(text: string): boolean {
  return text.slice(0, 400).includes('"normalworld-fuzz/');
}

/** @throws FindingFileError naming the place that is wrong. */
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
