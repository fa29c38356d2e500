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
  /** Of so many threads, those that only relief calls may have, where one is to be kept for them; the rest is `threads` above. */
  keptForRelief(threads: number): number;
}

const allOfIt = (owed: number) => owed;
const lessTheRunning = (owed: number, systemClaims: number) => Math.max(0, owed - systemClaims);
const oneForAll = (sessions: number, threads: number) => Math.min(1, sessions, Math.max(0, threads - 1));
/** With a single thread there is nothing to reserve: normal calls could never run. */
const whereTwoAre = (_: number, threads: number) => threads > 1;

const COUNTED = { systemCallsClaim: true, grants: whereTwoAre } as const;
const nothing = () => 0;
const oneOfSeveral = (threads: number) => (threads > 1 ? 1 : 0);

const RULES: Readonly<Record<DisciplineName, ReserveRules>> = {
  'linux-6.7': {
    owed: () => 0,
    withheld: () => 0,
    systemCallsClaim: false,
    grants: () => false,
    keptForRelief: nothing,
  },
  'patch-v6': {
    owed: (sessions, threads) => (threads === 0 ? 0 : sessions),
    withheld: allOfIt,
    systemCallsClaim: false,
    grants: (sessions, threads) => sessions + 1 < threads,
    keptForRelief: nothing,
  },
  'linux-6.8': { owed: oneForAll, withheld: allOfIt, ...COUNTED, keptForRelief: nothing },
  'hand-off': { owed: oneForAll, withheld: lessTheRunning, ...COUNTED, keptForRelief: oneOfSeveral },
  'hand-off-a': { owed: oneForAll, withheld: allOfIt, ...COUNTED, keptForRelief: oneOfSeveral },
  'hand-off-c': {
    owed: (sessions, threads) => Math.min(sessions, Math.max(0, threads - 1)),
    withheld: lessTheRunning,
    ...COUNTED,
    keptForRelief: oneOfSeveral,
  },
};

export function reserveRules(discipline: DisciplineName): ReserveRules {
  return RULES[discipline];
}
