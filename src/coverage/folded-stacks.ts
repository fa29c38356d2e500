/** Number of instructions by call stack, outermost function first, separated by `;`: the input of flame graphs. */
export type FoldedStacks = Map<string, number>;

/**
 * The format of Brendan Gregg's stackcollapse, which speedscope and others read: one line per stack, with a space and a
 * number.
 */
export function foldedText(stacks: FoldedStacks): string {
  return [...stacks]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([stack, count]) => `${stack} ${count}\n`)
    .join('');
}

/** Add stacks from a text in this format; other lines are skipped. */
export function addFolded(text: string, stacks: FoldedStacks): void {
  for (const line of text.split('\n')) {
    const [, stack, count] = /^(.+) (\d+)\r?$/.exec(line) ?? [];
    if (stack !== undefined) stacks.set(stack, (stacks.get(stack) ?? 0) + Number(count));
  }
}

export interface FunctionCost {
  readonly name: string;
  /** Instructions of the function itself, and including its callees. */
  readonly self: number;
  readonly total: number;
}

/** The cost of each function, highest first. */
export function functionCosts(stacks: FoldedStacks): FunctionCost[] {
  const costs = new Map<string, { self: number; total: number }>();
  for (const [stack, count] of stacks) {
    const frames = stack.split(';');
    // Count a recursive function once.
    for (const name of new Set(frames)) {
      const cost = costs.get(name) ?? { self: 0, total: 0 };
      costs.set(name, cost);
      cost.total += count;
    }
    const leaf = costs.get(frames.at(-1) ?? '');
    if (leaf !== undefined) leaf.self += count;
  }
  return [...costs].map(([name, cost]) => ({ name, ...cost })).sort((a, b) => b.self - a.self || b.total - a.total);
}
