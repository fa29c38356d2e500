/** ta/sims of OP-TEE/optee_test: a single instance for many sessions, gone with the last of them. */
export const sims = 'e6a33ed4-562b-463a-bb7e-ff5e15a493c8';
/** ta/sims_keepalive: the same, and the instance stays when no session is left. */
export const simsKeepAlive = 'a4c04d50-f180-11e8-8eb2-f2801f1b9fd1';
/** ta/miss: the same commands, an instance for each session. */
export const miss = '528938ce-fc59-11e8-8eb2-f2801f1b9fd1';

/** ta/sims/include/ta_sims_test.h */
export const SimsCommand = {
  read: 1,
  write: 2,
  /** How many sessions the instance had before this one. */
  getCounter: 3,
  /** With a null memref the TA panics; with a UUID in it it opens a session of that TA, and lets it panic. */
  panic: 4,
  /** Open a session of the TA whose UUID is in the memref, and keep it. */
  openTaSession: 5,
} as const;
