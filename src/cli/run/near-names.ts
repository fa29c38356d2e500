/** Largest number of changed characters of a name that still counts as meant. */
const mostChanges = 3;

/** The names that a mistyped one may stand for, the nearest first. */
export function nearNames(typed: string, names: readonly string[]): readonly string[] {
  return names
    .map((name) => ({ name, changes: changesBetween(typed, name) }))
    .filter(({ name, changes }) => changes <= Math.min(mostChanges, name.length / 3))
    .sort((one, other) => one.changes - other.changes)
    .map(({ name }) => name);
}

/** The smallest number of insertions, deletions and replacements of characters (Levenshtein). */
function changesBetween(one: string, other: string): number {
  if (Math.abs(one.length - other.length) > mostChanges) return Number.POSITIVE_INFINITY;
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
