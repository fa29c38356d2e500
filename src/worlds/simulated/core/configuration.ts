/** The version of OP-TEE that the simulation follows. */
export const osRevision = { major: 4, minor: 5 } as const;

/** The build configuration of the simulated OP-TEE. */
export interface CoreConfiguration {
  readonly threads: number;
  /** The answer of GET_THREAD_COUNT; undefined: the function is unknown, as before OP-TEE 3.16. */
  readonly announcedThreads: number | undefined;
  readonly dynamicShm: boolean;
  readonly memrefNull: boolean;
  readonly rpcArg: boolean;
  readonly asyncNotif: boolean;
  /** Whether it is an FF-A partition. */
  readonly ffa: boolean;
}
