import { badRequest } from './request-params.js';

/**
 * The numbers that the supplicants of a TEE have given to open things. The next one begins where the last one ended:
 * secure world may still hold numbers of the last one's, and must not reach another file by them.
 */
export class HandleNumbers {
  /** One above the highest that was given. */
  next = 0;
}

/** Small numbers for open things, used again when free, as a process's file descriptors are. */
export class HandleTable<T> {
  private readonly open = new Map<number, T>();
  private readonly first: number;

  constructor(private readonly numbers: HandleNumbers) {
    this.first = numbers.next;
  }

  add(thing: T): number {
    let handle = this.first;
    while (this.open.has(handle)) handle++;
    this.open.set(handle, thing);
    this.numbers.next = Math.max(this.numbers.next, handle + 1);
    return handle;
  }

  /** @throws TeecError BAD_PARAMETERS */
  find(handle: number): T {
    const thing = this.open.get(handle);
    if (thing === undefined) throw badRequest(`handle ${handle} is not open`);
    return thing;
  }

  /** Whether it was there. */
  remove(handle: number): boolean {
    return this.open.delete(handle);
  }

  /** @throws TeecError BAD_PARAMETERS */
  take(handle: number): T {
    const thing = this.find(handle);
    this.open.delete(handle);
    return thing;
  }

  takeAll(): T[] {
    const things = [...this.open.values()];
    this.open.clear();
    return things;
  }
}
