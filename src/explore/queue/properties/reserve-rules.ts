import type { DisciplineName } from '../../../optee/call-queue/call-queue.js';

/**
 * The promises of a discipline about its reserve, independent of its code: how many threads it owes to open system
 * sessions, and how many of them normal calls must leave free.
 */
export interface ReserveRules {
  /**
   * The number of threads owed to `sessions` system sessions with a capacity of `threads`; 0: unknown or not counted.
   */
  owed(sessions: number, threads: number): number;
  /** The number of owed threads that normal calls must leave free while `systemClaims` system calls hold a claim. */
  withheld(owed: number, systemClaims: number): number;
  /** Whether system calls count as holders of a thread. (In version 6 of the patch series they do not.) */
  readonly systemCallsClaim: boolean;
  /** Whether a further session may become a system session. */
  grants(sessions: number, threads: number): boolean;
  /**
   * The number of threads that only relief calls may use, if one is to be reserved for them; the others are `threads`
   * above.
   */
  keptForRelief(threads: number): number;
}

const allOwed = (owed: number) => owed;
const lessSystemClaims = (owed: number, systemClaims: number) => Math.max(0, owed - systemClaims);
const oneForAllSessions = (sessions: number, threads: number) => Math.min(1, sessions, Math.max(0, threads - 1));
/** With a single thread nothing can be reserved, because normal calls could then never run. */
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
    withheld: allOwed,
    systemCallsClaim: false,
    grants: (sessions, threads) => sessions + 1 < threads,
    keptForRelief: nothing,
  },
  'linux-6.8': { owed: oneForAllSessions, withheld: allOwed, ...COUNTED, keptForRelief: nothing },
  'hand-off': { owed: oneForAllSessions, withheld: lessSystemClaims, ...COUNTED, keptForRelief: oneOfSeveral },
  'hand-off-a': { owed: oneForAllSessions, withheld: allOwed, ...COUNTED, keptForRelief: oneOfSeveral },
  'hand-off-c': {
    owed: (sessions, threads) => Math.min(sessions, Math.max(0, threads - 1)),
    withheld: lessSystemClaims,
    ...COUNTED,
    keptForRelief: oneOfSeveral,
  },
};

export function reserveRules(discipline: DisciplineName): ReserveRules {
  return RULES[discipline];
}
