import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolderSync } from '../files/make-folder.js';
import { readRegularText } from '../files/read-regular-file.js';
import { writeWholeSync } from '../files/write-whole.js';
import { flameGraph } from './flame-graph.js';
import { addFolded, type FoldedStacks, type FunctionCost, foldedText, functionCosts } from './folded-stacks.js';
import type { StackMark } from './profile-of-tee.js';

export interface ProfileSummary {
  /** By cost, highest first. */
  readonly functions: readonly FunctionCost[];
  /** Number of instructions in functions with names. */
  readonly total: number;
  readonly marks: readonly StackMark[];
  /** Paths of the written files. */
  readonly files: readonly string[];
}

/** Merge the profiles in a folder into one, and write it as text and as a flame graph. */
export async function mergeProfiles(folder: string, into: string, title: string): Promise<ProfileSummary> {
  const stacks: FoldedStacks = new Map();
  const marks = new Map<string, StackMark>();
  for (const name of (await readdir(folder).catch(() => [])).sort()) {
    const text = await readRegularText(join(folder, name));
    if (name.endsWith('.folded')) addFolded(text, stacks);
    if (name.endsWith('.stacks.json'))
      for (const mark of JSON.parse(text) as readonly StackMark[])
        if (mark.used > (marks.get(mark.uuid)?.used ?? 0)) marks.set(mark.uuid, mark);
  }
  const named = namedStacks(stacks);
  makeFolderSync(into);
  const files = [join(into, 'profile.folded'), join(into, 'flame-graph.svg')] as const;
  writeWholeSync(files[0], foldedText(stacks));
  writeWholeSync(files[1], flameGraph(named, title));
  let total = 0;
  for (const count of named.values()) total += count;
  return { functions: functionCosts(named), total, marks: [...marks.values()], files };
}

/**
 * The stacks from their first named function on. Otherwise OP-TEE's own work, above all its boot, would dominate the
 * profile of an application; it is included if its ELF file exists.
 */
function namedStacks(stacks: FoldedStacks): FoldedStacks {
  const named: FoldedStacks = new Map();
  for (const [stack, count] of stacks) {
    const frames = stack.split(';');
    const first = frames.findIndex((name) => !name.startsWith('['));
    if (first < 0) continue;
    const key = frames.slice(first).join(';');
    named.set(key, (named.get(key) ?? 0) + count);
  }
  return named;
}
