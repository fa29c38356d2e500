/** Who waits for whom: of each waiting party those of which one must end. A party that is not in it does not wait. */
export type WaitsFor<Party> = ReadonlyMap<Party, readonly Party[]>;

/** Parties that could not go on even if everybody else did: each waits only for others of them. */
export function stuckParties<Party>(waits: WaitsFor<Party>): ReadonlySet<Party> {
  const stuck = new Set<Party>();
  for (const [party, others] of waits) if (others.length > 0) stuck.add(party);
  for (let before = -1; before !== stuck.size; ) {
    before = stuck.size;
    for (const party of stuck) if (waits.get(party)?.some((other) => !stuck.has(other))) stuck.delete(party);
  }
  return stuck;
}

/** The shortest way from one of the parties back to itself; empty when there is none. */
export function shortestCycle<Party>(starts: Iterable<Party>, waits: WaitsFor<Party>): readonly Party[] {
  let shortest: readonly Party[] = [];
  for (const start of starts) {
    const cycle = wayBack(start, waits);
    if (cycle.length > 0 && (shortest.length === 0 || cycle.length < shortest.length)) shortest = cycle;
  }
  return shortest;
}

/** Breadth first from a party until it is met again. */
function wayBack<Party>(start: Party, waits: WaitsFor<Party>): readonly Party[] {
  const from = new Map<Party, Party>();
  const queue = [start];
  for (let party = queue.shift(); party !== undefined; party = queue.shift()) {
    for (const next of waits.get(party) ?? []) {
      if (next === start) {
        const cycle = [party];
        for (let back = from.get(party); back !== undefined; back = from.get(back)) cycle.unshift(back);
        return cycle;
      }
      if (from.has(next)) continue;
      from.set(next, party);
      queue.push(next);
    }
  }
  return [];
}

/**
 * The smallest groups of stuck parties of which each waits only for others of its group: every one is a deadlock of its
 * own. Stuck parties in none of them are victims: they wait behind a group, and nobody in it waits for them.
 */
export function knots<Party>(waits: WaitsFor<Party>): readonly (readonly Party[])[] {
  const stuck = stuckParties(waits);
  // Strongly connected components, by Tarjan; those that nothing leads out of are the groups.
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
