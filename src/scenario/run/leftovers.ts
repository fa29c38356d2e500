/** Resources that are still held after all clients have ended. */
export interface Leftovers {
  readonly sessions: number;
  /** The number of shared memory objects that secure world has. */
  readonly sharedMemoryObjects: number;
  readonly sharedMemoryBytes: number;
}
