import { badRequest } from './request-params.js';

/**
 * The handles that the supplicants of a TEE have assigned. A new supplicant starts above those of the previous one:
 * secure world may still hold old handles, and they must not name other files.
 */
export class HandleNumbers {
  /** One above the highest assigned handle. */
  next = 0;
}

/** Handles for open objects. A free handle is reused, like the file descriptors of a process. */
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

  /** Remove a handle. @returns whether it was open. */
  remove(handle: number): boolean {
    return this.open.delete(handle);
  }

  /** Find and remove. @throws TeecError BAD_PARAMETERS */
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
