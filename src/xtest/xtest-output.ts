/** One executed case of the test suite. */
export interface XtestCase {
  /** `regression_1001`. */
  readonly name: string;
  readonly title: string;
  readonly ok: boolean;
  /** The first error; undefined if there was none. */
  readonly firstError: string | undefined;
  readonly milliseconds: number;
}

/** The counts that the suite prints; undefined until it does. */
export interface XtestCounts {
  readonly subtests: number;
  readonly failedSubtests: number;
}

/**
 * Parses the output of xtest at level 0 as it arrives: `* NAME TITLE` begins a case, `  NAME OK` or `  NAME FAILED`
 * ends it, with errors in between. Subcases have a number after the name: `NAME.1`.
 */
export class XtestOutput {
  readonly cases: XtestCase[] = [];
  counts: XtestCounts | undefined;
  private current: { name: string; title: string; begun: number; firstError: string | undefined } | undefined;

  /** @param now milliseconds. */
  line(text: string, now: number): XtestCase | undefined {
    const begin = /^\* (\w+) (.*)$/.exec(text);
    if (begin !== null) {
      this.current = { name: begin[1] ?? '', title: begin[2] ?? '', begun: now, firstError: undefined };
      return undefined;
    }
    const counted = /^(\d+) subtests? of which (\d+) failed$/.exec(text);
    if (counted !== null) this.counts = { subtests: Number(counted[1]), failedSubtests: Number(counted[2]) };
    const { current } = this;
    if (current === undefined) return undefined;
    const end = /^ {2}(\w+) (OK|FAILED)/.exec(text);
    if (end?.[1] !== current.name) {
      if (/^\S+\.c:\d+: /.test(text)) current.firstError ??= text;
      return undefined;
    }
    const { begun, ...known } = current;
    const ended = { ...known, ok: end[2] === 'OK', milliseconds: now - begun };
    this.cases.push(ended);
    this.current = undefined;
    return ended;
  }

  /** The case in which the suite stopped, if it did not run to its end. */
  get unfinished(): string | undefined {
    return this.current?.name;
  }
}
