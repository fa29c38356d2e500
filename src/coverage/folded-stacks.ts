/** Instructions by the functions that led to them, the outermost first, separated by `;`: what flame graphs are made of. */
export type FoldedStacks = Map<string, number>;

/** The form of Brendan Gregg's stackcollapse, which speedscope and others read: a stack, a blank, a number a line. */
export function foldedText(stacks: FoldedStacks): string {
  return [...stacks]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([stack, count]) => `${stack} ${count}\n`)
    .join('');
}

/** Add what such a text says; lines of another form are passed over. */
export function addFolded(text: string, stacks: FoldedStacks): void {
  for (const line of text.split('\n')) {
    const [, stack, count] = /^(.+) (\d+)\r?$/.exec(line) ?? [];
    if (stack !== undefined) stacks.set(stack, (stacks.get(stack) ?? 0) + Number(count));
  }
}

export interface FunctionCost {
  readonly name: string;
  /** Instructions in itself, and with those that it called. */
  readonly self: number;
  readonly total: number;
}

/** What each function cost, the most expensive first. */
export function functionCosts(stacks: FoldedStacks): FunctionCost[] {
  const costs = new Map<string, { self: number; total: number }>();
  for (const [stack, count] of stacks) {
    const frames = stack.split(';');
    // Of a function that calls itself once.
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
