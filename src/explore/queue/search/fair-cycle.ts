import type { Caller, Step } from '../model/caller.js';
import type { QueueModel } from '../model/queue-model.js';
import type { StateCodec } from '../states/state-codec.js';
import type { StateStore } from '../states/state-store.js';
import { brokenByError } from './expander.js';

/** A cycle in the graph of states, which can be repeated forever. */
export interface Cycle {
  /** The state at which it begins and ends. */
  readonly entry: number;
  /** The states after `entry`, in order; the last one is `entry` again. */
  readonly states: readonly number[];
}

interface Edge {
  readonly to: number;
  readonly caller: number;
  /** Whether the step takes a thread in secure world. */
  readonly enters: boolean;
}

/**
 * Search for unbounded overtaking in a complete set of states: a cycle in which one caller stays in the queue and never
 * enters secure world, while others of its class enter repeatedly. The cycle must be fair: every caller either steps in
 * it, or cannot step in some state of it (weak fairness). The returned cycle passes through a whole strongly connected
 * component, so it is not the shortest.
 */
export function findOvertaking(model: QueueModel, codec: StateCodec, store: StateStore): Cycle | undefined {
  const graph = new Graph(model, codec, store);
  for (const victim of model.callers) {
    if (!victim.repeats && victim.operations.length === 0) continue;
    const cycle = graph.overtaking(victim);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

class Graph {
  private readonly edges: (readonly Edge[])[] = [];
  /**
   * For each state: the callers that wait in the queue (bits 0 to 15), and those of them with a system call (from bit
   * 16).
   */
  private readonly waiting: Uint32Array;
  /** For each state, the callers that can step, as bits. */
  private readonly enabled: Uint32Array;
  private readonly successor: Uint32Array;

  constructor(
    private readonly model: QueueModel,
    codec: StateCodec,
    store: StateStore,
  ) {
    this.successor = new Uint32Array(codec.words);
    this.waiting = new Uint32Array(store.count);
    this.enabled = new Uint32Array(store.count);
    for (let state = 0; state < store.count; state++) {
      codec.load(store.records, store.offset(state));
      for (const caller of model.callers) {
        const bit = 1 << caller.label;
        if (isQueued(caller)) this.waiting[state] = (this.waiting[state] ?? 0) | bit;
        if (caller.system) this.waiting[state] = (this.waiting[state] ?? 0) | (bit << 16);
        if (model.next(caller) !== undefined) this.enabled[state] = (this.enabled[state] ?? 0) | bit;
      }
      this.edges.push(this.successors(state, codec, store));
    }
  }

  private successors(state: number, codec: StateCodec, store: StateStore): Edge[] {
    const edges: Edge[] = [];
    for (const caller of this.model.callers) {
      if (((this.enabled[state] ?? 0) & (1 << caller.label)) === 0) continue;
      codec.load(store.records, store.offset(state));
      let step: Step;
      try {
        step = this.model.step(caller);
        codec.save(this.successor, 0);
      } catch (error) {
        // The search has recorded the violation; there is no state to continue from.
        brokenByError(error);
        continue;
      }
      edges.push({
        to: store.find(this.successor, 0),
        caller: caller.label,
        enters: step === 'smc' && this.model.outcome.entered,
      });
    }
    return edges;
  }

  /** A fair cycle in which this caller is overtaken. */
  overtaking(victim: Caller): Cycle | undefined {
    const bit = 1 << victim.label;
    const inPart = (state: number) => ((this.waiting[state] ?? 0) & bit) !== 0;
    for (const component of this.components(inPart)) {
      const members = new Set(component);
      let stepping = 0;
      let disabledSomewhere = 0;
      let overtaken = false;
      for (const state of component) {
        disabledSomewhere |= ~(this.enabled[state] ?? 0);
        for (const edge of this.edges[state] ?? []) {
          if (!members.has(edge.to)) continue;
          stepping |= 1 << edge.caller;
          if (edge.enters && this.sameClass(state, victim.label, edge.caller)) overtaken = true;
        }
      }
      const all = (1 << this.model.callers.length) - 1;
      if (overtaken && ((stepping | disabledSomewhere) & all) === all) return this.closedPath(component, members);
    }
    return undefined;
  }

  private sameClass(state: number, one: number, other: number): boolean {
    const classes = (this.waiting[state] ?? 0) >>> 16;
    return ((classes >>> one) & 1) === ((classes >>> other) & 1);
  }

  /**
   * The strongly connected components with an inner edge, of the states in `part` (Tarjan's algorithm without
   * recursion).
   */
  private *components(part: (state: number) => boolean): Generator<number[]> {
    const count = this.edges.length;
    const index = new Int32Array(count).fill(-1);
    const low = new Int32Array(count);
    const onStack = new Uint8Array(count);
    const stack: number[] = [];
    let next = 0;
    for (let root = 0; root < count; root++) {
      if (index[root] !== -1 || !part(root)) continue;
      const work: { state: number; edge: number }[] = [{ state: root, edge: 0 }];
      while (work.length > 0) {
        const top = work[work.length - 1];
        if (top === undefined) break;
        const { state } = top;
        if (top.edge === 0) {
          index[state] = low[state] = next++;
          stack.push(state);
          onStack[state] = 1;
        }
        const edge = this.edges[state]?.[top.edge++];
        if (edge !== undefined) {
          if (!part(edge.to)) continue;
          if (index[edge.to] === -1) work.push({ state: edge.to, edge: 0 });
          else if (onStack[edge.to] === 1) low[state] = Math.min(low[state] ?? 0, index[edge.to] ?? 0);
          continue;
        }
        work.pop();
        const parent = work[work.length - 1];
        if (parent !== undefined) low[parent.state] = Math.min(low[parent.state] ?? 0, low[state] ?? 0);
        if (low[state] !== index[state]) continue;
        const component: number[] = [];
        let member: number;
        do {
          member = stack.pop() ?? state;
          onStack[member] = 0;
          component.push(member);
        } while (member !== state);
        if (component.length > 1 || this.edges[state]?.some(({ to }) => to === state)) yield component;
      }
    }
  }

  /**
   * A closed path through the component on which every caller that steps in it steps: from its first state to the
   * nearest step of each such caller in turn, and back.
   */
  private closedPath(component: readonly number[], members: ReadonlySet<number>): Cycle {
    const entry = Math.min(...component);
    const states: number[] = [];
    let at = entry;
    const stepsOf = new Set(
      component.flatMap((state) =>
        (this.edges[state] ?? []).filter(({ to }) => members.has(to)).map(({ caller }) => caller),
      ),
    );
    const seen = new Set<number>();
    const go = (way: readonly { readonly to: number; readonly caller: number }[]) => {
      for (const { to, caller } of way) {
        states.push(to);
        seen.add(caller);
        at = to;
      }
    };
    go(this.shortest(at, members, ({ enters }) => enters));
    for (const caller of stepsOf)
      if (!seen.has(caller)) go(this.shortest(at, members, (edge) => edge.caller === caller));
    if (at !== entry || states.length === 0) go(this.shortest(at, members, ({ to }) => to === entry));
    return { entry, states };
  }

  /** The fewest steps within `members` from a state up to and including a matching step. */
  private shortest(from: number, members: ReadonlySet<number>, last: (edge: Edge) => boolean): Edge[] {
    const reached = new Map<number, { readonly before: number; readonly edge: Edge } | undefined>([[from, undefined]]);
    const queue = [from];
    for (const state of queue) {
      for (const edge of this.edges[state] ?? []) {
        if (!members.has(edge.to)) continue;
        if (last(edge)) {
          const way = [edge];
          for (let step = reached.get(state); step !== undefined; step = reached.get(step.before))
            way.unshift(step.edge);
          return way;
        }
        if (!reached.has(edge.to)) {
          reached.set(edge.to, { before: state, edge });
          queue.push(edge.to);
        }
      }
    }
    throw new Error('a strongly connected component is not connected');
  }
}

/** Whether the caller has entered the queue but not secure world. */
function isQueued({ stage }: Caller): boolean {
  return stage === 'waiting' || stage === 'ready' || stage === 'limited';
}
