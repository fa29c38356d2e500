/** A function in one call stack. Costs are numbers of instructions. */
export interface Frame {
  readonly name: string;
  readonly caller: Frame | undefined;
  readonly depth: number;
  /** With its callees. */
  total: number;
  /** Alone. */
  self: number;
  readonly callees: Map<string, Frame>;
}

/** The stacks of a text in the folded format, as a tree. Lines that are no stacks are skipped. */
export function frameTree(folded: string): Frame {
  const root = frame('all', undefined, 0);
  for (const line of folded.split('\n')) {
    const [, stack, count] = /^(.+) (\d+)\r?$/.exec(line) ?? [];
    if (stack === undefined) continue;
    const cost = Number(count);
    root.total += cost;
    let at = root;
    for (const name of stack.split(';')) {
      let callee = at.callees.get(name);
      if (callee === undefined) {
        callee = frame(name, at, at.depth + 1);
        at.callees.set(name, callee);
      }
      callee.total += cost;
      at = callee;
    }
    at.self += cost;
  }
  return root;
}

/** All frames of a tree, callers first. */
export function* framesOf(root: Frame): Generator<Frame> {
  const waiting = [root];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    yield next;
    for (const callee of [...next.callees.values()].sort((a, b) => b.total - a.total).reverse()) waiting.push(callee);
  }
}

export interface FunctionCost {
  readonly name: string;
  readonly self: number;
  readonly total: number;
}

/** The cost of each function in a tree, highest own cost first. A recursive function counts once in a stack. */
export function costsByFunction(root: Frame): FunctionCost[] {
  const costs = new Map<string, { self: number; total: number }>();
  for (const each of framesOf(root)) {
    if (each === root) continue;
    const cost = costs.get(each.name) ?? { self: 0, total: 0 };
    costs.set(each.name, cost);
    cost.self += each.self;
    if (!isRecursive(each)) cost.total += each.total;
  }
  return [...costs].map(([name, cost]) => ({ name, ...cost })).sort((a, b) => b.self - a.self || b.total - a.total);
}

function isRecursive({ name, caller }: Frame): boolean {
  for (let at = caller; at !== undefined; at = at.caller) if (at.name === name) return true;
  return false;
}

function frame(name: string, caller: Frame | undefined, depth: number): Frame {
  return { name, caller, depth, total: 0, self: 0, callees: new Map() };
}
