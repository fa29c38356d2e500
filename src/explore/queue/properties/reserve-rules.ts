import type { DisciplineName } from '../../../optee/call-queue/call-queue.js';

/**
 * What a discipline promises about its reserve, said apart from its code: how many threads it owes to open system
 * sessions, and how many of them normal calls must leave free.
 */
export interface ReserveRules {
  /** Threads owed to so many system sessions, when the discipline goes by `threads`; 0: it does not know or does not count. */
  owed(sessions: number, threads: number): number;
  /** Of the threads owed, those that normal calls leave free while so many system calls hold a claim. */
  withheld(owed: number, systemClaims: number): number;
  /** System calls count among those that hold a thread. (Those of version 6 of the patch series claim none.) */
  readonly systemCallsClaim: boolean;
  /** A further session may become a system session. */
  grants(sessions: number, threads: number): boolean;
}

const allOfIt = (owed: number) => owed;
const lessTheRunning = (owed: number, systemClaims: number) => Math.max(0, owed - systemClaims);
const oneForAll = (sessions: number, threads: number) => Math.min(1, sessions, Math.max(0, threads - 1));
/** With a single thread there is nothing to reserve: normal calls could never run. */
const whereTwoAre = (_: number, threads: number) => threads > 1;

const RULES: Readonly<Record<DisciplineName, ReserveRules>> = {
  'linux-6.7': { owed: () => 0, withheld: () => 0, systemCallsClaim: false, grants: () => false },
  'patch-v6': {
    owed: (sessions, threads) => (threads === 0 ? 0 : sessions),
    withheld: allOfIt,
    systemCallsClaim: false,
    grants: (sessions, threads) => sessions + 1 < threads,
  },
  'linux-6.8': { owed: oneForAll, withheld: allOfIt, systemCallsClaim: true, grants: whereTwoAre },
  'hand-off': { owed: oneForAll, withheld: lessTheRunning, systemCallsClaim: true, grants: whereTwoAre },
  'hand-off-a': { owed: oneForAll, withheld: allOfIt, systemCallsClaim: true, grants: whereTwoAre },
  'hand-off-c': {
    owed: (sessions, threads) => Math.min(sessions, Math.max(0, threads - 1)),
    withheld: lessTheRunning,
    systemCallsClaim: true,
    grants: whereTwoAre,
  },
};

export function reserveRules(discipline: DisciplineName): ReserveRules {
  return RULES[discipline];
}
