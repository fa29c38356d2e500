/** Why there is no place: none is left, or the remaining ones are reserved for owners with fewer. */
export type Refusal = 'none left' | 'share used up';

/**
 * A limited number of places, shared fairly. An owner may have at most as many places as remain free: a single owner
 * gets half of all, n greedy owners get one (n + 1)th each. So a greedy owner leaves places for a new one, and few
 * owners can use most of the places.
 */
export class FairPlaces<Owner> {
  private readonly owned = new Map<Owner, number>();
  private taken = 0;

  constructor(private readonly places: number) {}

  /** @returns a place, to be disposed of once, or why there is none. */
  take(owner: Owner): Disposable | Refusal {
    const free = this.places - this.taken;
    const owned = this.owned.get(owner) ?? 0;
    if (free <= 0) return 'none left';
    if (owned >= free) return 'share used up';
    this.taken++;
    this.owned.set(owner, owned + 1);
    return { [Symbol.dispose]: () => this.giveBack(owner) };
  }

  private giveBack(owner: Owner): void {
    this.taken--;
    const owned = (this.owned.get(owner) ?? 0) - 1;
    if (owned > 0) this.owned.set(owner, owned);
    else this.owned.delete(owner);
  }
}
