/** For each waiting party, the parties of which one must end. A party that is not a key does not wait. */
export type WaitsFor<Party> = ReadonlyMap<Party, readonly Party[]>;

/**
 * Parties that can never continue, because each waits only for others of them. Parties that share the same list object
 * cost as much as one: thousands of sleepers wait for the same few threads.
 */
export function stuckParties<Party>(waits: WaitsFor<Party>): ReadonlySet<Party> {
  const stuck = new Set<Party>();
  /** By list: the parties that wait for one of its members. */
  const waiting = new Map<readonly Party[], Party[]>();
  for (const [party, others] of waits) {
    if (others.length === 0) continue;
    stuck.add(party);
    const same = waiting.get(others);
    if (same === undefined) waiting.set(others, [party]);
    else same.push(party);
  }
  const listsWith = new Map<Party, (readonly Party[])[]>();
  /** Lists with a member that can continue. */
  const open = new Set<readonly Party[]>();
  for (const list of waiting.keys())
    for (const party of list) {
      if (!stuck.has(party)) open.add(list);
      const lists = listsWith.get(party);
      if (lists === undefined) listsWith.set(party, [list]);
      else lists.push(list);
    }
  // Iterating over a Set includes elements added during the iteration.
  for (const list of open)
    for (const party of waiting.get(list) ?? []) {
      stuck.delete(party);
      for (const other of listsWith.get(party) ?? []) open.add(other);
    }
  return stuck;
}

/** Number of steps after which the shortest cycle found so far is accepted. */
const enoughSteps = 2_000_000;

/** The shortest cycle through one of the parties, or a short one if there are very many; empty if there is none. */
export function shortestCycle<Party>(starts: Iterable<Party>, waits: WaitsFor<Party>): readonly Party[] {
  const waitedFor = new Set<Party>();
  for (const list of new Set(waits.values())) for (const party of list) waitedFor.add(party);
  let shortest: readonly Party[] = [];
  let steps = 0;
  for (const start of starts) {
    if (!waitedFor.has(start)) continue;
    const way = wayBack(start, waits);
    steps += way.steps;
    if (way.cycle.length > 0 && (shortest.length === 0 || way.cycle.length < shortest.length)) shortest = way.cycle;
    if (steps < enoughSteps) continue;
    return shortest.length > 0 ? shortest : someCycle(start, waits);
  }
  return shortest;
}

/** Breadth-first search from a party until it is reached again. */
function wayBack<Party>(start: Party, waits: WaitsFor<Party>): { cycle: readonly Party[]; steps: number } {
  const from = new Map<Party, Party>();
  const seen = new Set<readonly Party[]>();
  const queue = [start];
  let steps = 0;
  for (let index = 0; index < queue.length; index++) {
    const party = queue[index] as Party;
    const list = waits.get(party) ?? [];
    if (seen.has(list)) continue;
    seen.add(list);
    for (const next of list) {
      steps++;
      if (next === start) {
        const cycle = [party];
        for (let back = from.get(party); back !== undefined; back = from.get(back)) cycle.push(back);
        return { cycle: cycle.reverse(), steps };
      }
      if (from.has(next)) continue;
      from.set(next, party);
      queue.push(next);
    }
  }
  return { cycle: [], steps: steps + queue.length };
}

/** Follow the first party that each waits for, until one is reached again. */
function someCycle<Party>(start: Party, waits: WaitsFor<Party>): readonly Party[] {
  const path: Party[] = [];
  const place = new Map<Party, number>();
  let party: Party | undefined = start;
  while (party !== undefined && !place.has(party)) {
    place.set(party, path.push(party) - 1);
    party = waits.get(party)?.[0];
  }
  return party === undefined ? [] : path.slice(place.get(party));
}

/**
 * The smallest groups of stuck parties of which each waits only for others of its group: each group is a deadlock of
 * its own. Other stuck parties are victims: they wait for a group, but no member of it waits for them.
 */
export function knots<Party>(waits: WaitsFor<Party>): readonly (readonly Party[])[] {
  const stuck = stuckParties(waits);
  // Strongly connected components by Tarjan's algorithm; those without outgoing edges are the groups.
  const place = new Map<Party, number>();
  const lowest = new Map<Party, number>();
  const component = new Map<Party, number>();
  const open: Party[] = [];
  const groups: Party[][] = [];
  const enter = (party: Party) => {
    place.set(party, place.size);
    lowest.set(party, place.get(party) ?? 0);
    open.push(party);
    return { party, others: waits.get(party) ?? [], next: 0 };
  };
  for (const start of stuck) {
    if (place.has(start)) continue;
    const path = [enter(start)];
    for (let at = path.at(-1); at !== undefined; at = path.at(-1)) {
      const { party, others } = at;
      const other = others[at.next++];
      if (other !== undefined) {
        if (!place.has(other)) path.push(enter(other));
        else if (!component.has(other)) lowest.set(party, Math.min(lowest.get(party) ?? 0, place.get(other) ?? 0));
        continue;
      }
      path.pop();
      const before = path.at(-1)?.party;
      if (before !== undefined) lowest.set(before, Math.min(lowest.get(before) ?? 0, lowest.get(party) ?? 0));
      if (lowest.get(party) !== place.get(party)) continue;
      const group = open.splice(open.lastIndexOf(party));
      for (const each of group) component.set(each, groups.length);
      groups.push(group);
    }
  }
  return groups
    .filter((group, number) =>
      group.every((party) => (waits.get(party) ?? []).every((other) => component.get(other) === number)),
    )
    .map((group) => [...group].sort((one, other) => (place.get(one) ?? 0) - (place.get(other) ?? 0)));
}
