import type { Caller } from '../model/caller.js';

/** Groups of callers with equal operations on which no other caller depends. */
export function interchangeable(callers: readonly Caller[]): number[][] {
  const needed = new Set(
    callers.flatMap(({ operations }) => operations.map((each) => ('needs' in each ? each.needs : -1))),
  );
  const groups = new Map<string, number[]>();
  for (const { label, operations, repeats } of callers) {
    const key = needed.has(label) ? `caller ${label}` : JSON.stringify([operations, repeats]);
    groups.set(key, [...(groups.get(key) ?? []), label]);
  }
  return [...groups.values()];
}

/** Sort the codes of a group of callers. Returns whether the order has changed. */
export function sortCodes(codes: Int32Array, group: readonly number[]): boolean {
  let moved = false;
  for (let i = 1; i < group.length; i++) {
    const code = codes[group[i] ?? 0] ?? 0;
    let j = i - 1;
    if ((codes[group[j] ?? 0] ?? 0) <= code) continue;
    moved = true;
    for (; j >= 0 && (codes[group[j] ?? 0] ?? 0) > code; j--) {
      codes[group[j + 1] ?? 0] = codes[group[j] ?? 0] ?? 0;
    }
    codes[group[j + 1] ?? 0] = code;
  }
  return moved;
}

/** Whether a caller has several operations, all equal. */
export function repeatsOneOperation({ operations }: Caller): boolean {
  return operations.length > 1 && new Set(operations.map((each) => JSON.stringify(each))).size === 1;
}
