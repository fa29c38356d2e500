/** The OP-TEE that the simulation behaves like. */
export const osRevision = { major: 4, minor: 5 } as const;

/** What this OP-TEE was built with. */
export interface CoreConfiguration {
  readonly threads: number;
  /** GET_THREAD_COUNT answers this; nothing: the function is unknown, as before OP-TEE 3.16. */
  readonly announcedThreads: number | undefined;
  readonly dynamicShm: boolean;
  readonly memrefNull: boolean;
  readonly rpcArg: boolean;
  readonly asyncNotif: boolean;
  /** It is an FF-A partition. */
  readonly ffa: boolean;
}
