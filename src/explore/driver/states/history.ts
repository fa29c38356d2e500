import { hash } from 'node:crypto';

/** What became of one part of the system. */
interface PartHistory {
  /** Its changes in order, each with the set of uses before it, as a chain of hashes. */
  changes: string;
  /** Uses since the last change: their order is nobody's business. */
  uses: string[];
}

/**
 * What happened, as a partial order. Two steps whose order can make a difference touch one part of the system, and one of them
 * changes it. So of each part its changes are kept in order, and of its uses only between which changes they came; two
 * histories that are equal are orders of the same steps that differ in steps alone that do not meet.
 */
export class History {
  /** What touched everything, with all that was before. */
  private all = '';
  private readonly parts = new Map<string, PartHistory>();

  /** A step of which everything that follows may depend on, and which may depend on all before. */
  touchesAll(...what: readonly string[]): void {
    const before = this.parts.size > 0 ? [JSON.stringify(this.contents)] : [this.all];
    this.parts.clear();
    this.all = chained(...before, ...what);
  }

  changes(part: string, ...what: readonly string[]): void {
    const history = this.of(part);
    history.changes = chained(history.changes, ...history.uses.sort(), '', ...what);
    history.uses = [];
  }

  uses(part: string, ...what: readonly string[]): void {
    this.of(part).uses.push(what.join('\n'));
  }

  get contents(): readonly unknown[] {
    const parts = Array.from(this.parts, ([name, { changes, uses }]) => [name, changes, uses.sort()]);
    return [this.all, parts.sort(([one = ''], [other = '']) => (one < other ? -1 : 1))];
  }

  private of(part: string): PartHistory {
    const known = this.parts.get(part);
    if (known !== undefined) return known;
    const history: PartHistory = { changes: '', uses: [] };
    this.parts.set(part, history);
    return history;
  }
}

export function chained(...links: readonly string[]): string {
  return hash('sha256', links.join('\n'), 'base64');
}
