/** Why there is no place: there is none left at all, or the others are kept for whoever has fewer. */
export type Refusal = 'none left' | 'share used up';

/**
 * A number of places, and who has them. Each owner may have as many as it leaves free: alone it gets half of them, n that
 * take what they can get an (n + 1)th each. So one that takes all it can get leaves as many for a newcomer, and few owners
 * are not held short for others that may never come.
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
