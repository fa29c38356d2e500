/** A seed for one caller of one client, independent of those of other callers. */
export function callerSeed(seed: number, client: number, caller: number): number {
  return (
    (Math.imul(seed ^ 0x5bd1_e995, 0x9e37_79b1) +
      Math.imul(client + 1, 0x85eb_ca6b) +
      Math.imul(caller, 0xc2b2_ae35)) >>>
    0
  );
}
