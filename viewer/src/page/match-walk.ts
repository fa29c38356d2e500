import type { Run } from '../run/run.js';
import { type Matches, search } from '../run/search.js';

/** A call or an event that matches the search. */
export type Match =
  | { readonly run: Run; readonly call: number; readonly record: undefined }
  | { readonly run: Run; readonly call: undefined; readonly record: number };

/** The matches of a search in all runs, and the current one. */
export class MatchWalk {
  matches: ReadonlyMap<Run, Matches> = new Map();
  private all: readonly Match[] = [];
  private at = -1;
  private text = '';

  constructor(private readonly runs: readonly Run[]) {}

  /** `3 matches`; empty without a search. */
  get words(): string {
    if (this.matches.size === 0) return '';
    return this.all.length === 1 ? '1 match' : `${this.all.length} matches`;
  }

  isAbout(text: string): boolean {
    return text === this.text;
  }

  search(text: string): void {
    const found = new Map<Run, Matches>();
    for (const run of this.runs) {
      const matches = search(run, text);
      if (matches !== undefined) found.set(run, matches);
    }
    this.text = text;
    this.matches = found;
    this.at = -1;
    this.all = [...found].flatMap(([run, { calls, notes }]) => [
      ...Array.from(calls, (call) => ({ run, call, record: undefined })),
      ...notes.map((record) => ({ run, call: undefined, record })),
    ]);
  }

  /** The next match; after the last one, the first. */
  next(): Match | undefined {
    if (this.all.length === 0) return undefined;
    this.at = (this.at + 1) % this.all.length;
    return this.all[this.at];
  }
}
