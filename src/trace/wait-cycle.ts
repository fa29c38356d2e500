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
