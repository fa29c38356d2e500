/** What is still held when everybody has gone. */
export interface Leftovers {
  readonly sessions: number;
  /** Objects of shared memory that secure world holds. */
  readonly sharedMemoryObjects: number;
  readonly sharedMemoryBytes: number;
}
