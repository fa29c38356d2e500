import { hash } from 'node:crypto';

/** The history of one part of the system. */
interface PartHistory {
  /** Its changes in order, each with the set of uses before it, as a chain of hashes. */
  changes: string;
  /** Uses since the last change; their order does not matter. */
  uses: string[];
}

/**
 * A run's history as a partial order. The order of two steps can matter only if they access the same part of the system
 * and one of them changes it. So for each part, the changes are kept in order, and each use only by the changes before
 * and after it. Two equal histories are orders of the same steps that differ only in independent steps.
 */
export class History {
  /** A hash of the last step that accesses all parts, and of everything before it. */
  private all = '';
  private readonly parts = new Map<string, PartHistory>();

  /** A step that depends on all steps before it, and on which all steps after it depend. */
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
