import type { FoldedStacks } from '../../../src/coverage/folded-stacks.js';

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

/** Call stacks as a tree. */
export function frameTree(stacks: FoldedStacks): Frame {
  const root = frame('all', undefined, 0);
  for (const [stack, cost] of stacks) {
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

function frame(name: string, caller: Frame | undefined, depth: number): Frame {
  return { name, caller, depth, total: 0, self: 0, callees: new Map() };
}
