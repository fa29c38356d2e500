import { TeecError } from '../dist/index.js';

/** Detected errors; there must be none. */
export class Findings {
  list = [];
  counts = new Map();

  /**
   * @param onFirst called at once for the first finding, because the round may then wait for a long time for events
   * that do not come.
   */
  constructor(onFirst = () => {}) {
    this.onFirst = onFirst;
  }

  /** Report a violated condition. */
  add(what) {
    if (this.list.length === 0) this.onFirst(what);
    if (this.list.length < 50) this.list.push(what);
  }

  check(holds, what) {
    if (!holds) this.add(typeof what === 'function' ? what() : what);
    return holds;
  }

  count(what, by = 1) {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  /**
   * Run something that may fail, but only as a TEE call can fail.
   * @returns its result; undefined if it failed.
   */
  async mayFail(what, work) {
    try {
      const result = await work();
      this.count(what);
      return { result };
    } catch (error) {
      this.count(`${what}: refused`);
      const fine = error instanceof TeecError && Number.isInteger(error.code) && error.code > 0 && error.code < 2 ** 32;
      this.check(fine, () => `${what} failed: ${describe(error)}, which is no error of a TEE`);
      return { error };
    }
  }

  /**
   * Check a condition that must become true soon: requests of a dead client are first served to their end. It only has
   * to be true once, because a request of a dead client may still be pending, whereas a leak is always there.
   */
  async checkSoon(holds, what, ms = 10_000) {
    const end = performance.now() + ms;
    let held = holds();
    while (!held && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      held = holds();
    }
    return this.check(held, what);
  }

  /** Run something that must end in time. */
  async inTime(what, ms, work, more = () => '') {
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(() => resolve('late'), ms);
    });
    try {
      const end = await Promise.race([Promise.resolve(work).then(() => 'done'), late]);
      return this.check(end === 'done', () => `${what} is not over after ${ms} ms ${more()}`);
    } catch (error) {
      this.add(`${what}: ${describe(error)}`);
      return false;
    } finally {
      clearTimeout(timer);
    }
  }
}

export const describe = (error) => (error instanceof Error ? (error.stack ?? error.message) : String(error));
