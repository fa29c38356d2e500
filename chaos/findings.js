import { TeecError } from '../dist/index.js';

/** What went wrong, which is to be nothing. */
export class Findings {
  list = [];
  counts = new Map();

  /** @param onFirst told of the first at once: a round may wait for long for what will not come any more. */
  constructor(onFirst = () => {}) {
    this.onFirst = onFirst;
  }

  /** Say that something is not as it must be. */
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
   * Something that may fail, but only as a call to a TEE fails.
   * @returns its result; undefined when it failed.
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
   * The same for what becomes so soon: what a client leaves behind that died is served to its end first. Once is enough: a request
   * that the dead had made may still be waiting for its turn, and what is left over for good is there at all times.
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

  /** Something that must be over in time. */
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
