import type { DisciplineName } from '../../../optee/call-queue/call-queue.js';
import { keepsReserve } from '../../../optee/call-queue/disciplines.js';
import { parseCallers } from './callers-notation.js';
import type { ModelConfig } from './queue-model.js';

/** The kind of secure world, and whether the callers end. */
export type ConfigurationGroup =
  /** It announces its number of threads. */
  | 'tracked'
  /** It does not announce its number of threads. */
  | 'untracked'
  /** It has one thread less than it announces. */
  | 'short'
  /** Callers that repeat forever, for overtaking. */
  | 'cycle'
  /** The driver's own calls among the callers, with and without a thread reserved for relief calls. */
  | 'own';

/** A workload without its discipline. */
export interface Configuration {
  readonly group: ConfigurationGroup;
  readonly threads: number;
  readonly secureThreads: number;
  readonly reservations: number;
  readonly callers: string;
  readonly reserve?: boolean;
}

/** Callers that end, with the number of system sessions at the start. */
const WORKLOADS: readonly (readonly [reservations: number, callers: string])[] = [
  // Only normal calls: increasing numbers of callers, several calls in sequence, calls suspended in RPCs.
  [0, '2*N'],
  [0, '3*N'],
  [0, '4*N'],
  [0, '5*N'],
  [0, '2*N+N'],
  [0, '3*N+N'],
  [0, 'N+N,3*N'],
  [0, 'Nr1,2*N'],
  [0, '2*Nr1,2*N'],
  [0, 'N!,2*N'],
  [0, 'N!,3*N'],
  [0, 'N!,N!,2*N'],
  // One system session beside normal calls.
  [1, 'N,S'],
  [1, 'N,2*S'],
  [1, 'N,3*S'],
  [1, '2*N,S'],
  [1, '2*N,2*S'],
  [1, '2*N,3*S'],
  [1, '3*N,S'],
  [1, '3*N,2*S'],
  [1, '4*N,S'],
  [1, '2*N,S+S'],
  [1, '3*N,S+S'],
  [1, 'N+N,N,S+S'],
  [1, 'N+N,S+S,S'],
  [1, 'Nr1,N,S,Sr1'],
  [1, 'N!,N,S'],
  [1, 'N!,N,2*S'],
  [1, '3*S'],
  [1, '4*S'],
  // Several system sessions.
  [2, 'N,S,S1'],
  [2, 'N,2*S,S1'],
  [2, '2*N,S,S1'],
  [2, '2*N,S,2*S1'],
  [2, '3*N,S,S1'],
  [2, 'N,S,2*S1'],
  [2, 'N,2*S,2*S1'],
  [3, '2*N,S,S1,S2'],
  // System sessions that are made and closed during other calls.
  [0, 'N,M+S+C'],
  [0, '2*N,M+S+C'],
  [0, '2*N,M+S+C,S'],
  [0, '3*N,M+S+C'],
  [0, '2*N,M+S+C,M1+S1+C1'],
  [0, 'N+N,N,M+C'],
  [1, '2*N,S,C'],
  [1, '3*N,C'],
  [2, '2*N,C,C1'],
  [2, '2*N,S1,C'],
  // Calls that need another one: for a mutex, or an RPC whose device needs a system session.
  [0, 'N>1,2*N'],
  [0, '2*N>2,N'],
  [0, '2*N>2,2*N'],
  [0, 'N>2,N>2,N+N'],
  [1, 'N>1,S'],
  [1, '2*N>2,S'],
  [1, '3*N>3,S'],
  [1, 'N>1,S,S'],
  [1, '2*N>2,S,S'],
  [1, '2*N>2,S,N'],
  [1, 'N>2,S>2,S'],
  [1, '2*N>3,S>3,S'],
  [1, 'S>1,2*N'],
  [2, 'N>2,S>2,S1'],
  [2, '2*N>3,S>3,S1'],
  [2, '2*N>4,N,S1>4,S'],
];

/** Callers that repeat, with the announced and the real number of threads. */
const CYCLES: readonly (readonly [threads: number, secure: number, reservations: number, callers: string])[] = [
  [1, 1, 0, 'N*,N*'],
  [1, 1, 0, 'N*,N*,N*'],
  [2, 2, 0, 'N*,N*,N*'],
  [2, 2, 1, 'N*,N*,S*'],
  [2, 2, 1, 'N*,S*,S*'],
  [2, 2, 1, 'S*,S*,S*'],
  [2, 2, 1, 'N*,N*,S*,S*'],
  [3, 3, 1, 'N*,N*,N*,S*'],
  [3, 3, 2, 'N*,S*,S1*,S1*'],
  [2, 1, 0, 'N*,N*'],
  [2, 1, 1, 'N*,N*,S*'],
  [2, 1, 1, 'N*,S*,S*'],
  [3, 2, 0, 'N*,N*,N*'],
  [3, 2, 1, 'N*,N*,S*'],
  [3, 2, 1, 'S*,S*,S*'],
  [4, 3, 2, 'N*,N*,S*,S1*'],
  [0, 1, 0, 'N*,N*'],
  [0, 1, 0, 'N*,N*,N*'],
  [0, 2, 0, 'N*,N*,N*'],
  [0, 2, 0, 'N*,N*,(N+N)*'],
  [0, 2, 0, 'N*,N*,N*,N*'],
];

/** The driver's own calls beside those of clients, and calls that wait for them. */
const OWN_CALLS: readonly (readonly [reservations: number, callers: string])[] = [
  [0, '2*N>2,X'],
  [0, '2*N>2,B'],
  [0, '2*N>2,U'],
  [0, '2*N>2,C'],
  [0, '2*N>3,N,X'],
  [0, '2*N>2,N+B'],
  [0, '2*Nr1>2,X'],
  [0, 'N+X,N+X,N'],
  [0, '3*N,X,B'],
  [0, '2*N,2*X'],
  [0, '2*N,M+S+C,X1'],
  [1, '2*N>2,R+S'],
  [1, 'N>2,S>2,X'],
  [1, '2*N>3,S>3,X1'],
  [1, '2*N>3,S>3,X'],
  [1, '2*N,S+C,B'],
  [1, '2*N,S,X1,X'],
  [1, 'N!,S+R,B'],
  [2, 'N,S,S1+C1,X2'],
];

/** Announced numbers of threads for workloads that end. */
const THREADS = [1, 2, 3, 4];

/** The configurations of the table of findings. */
export function configurations(): Configuration[] {
  const all: Configuration[] = [];
  for (const [reservations, callers] of WORKLOADS) {
    for (const threads of THREADS) {
      all.push({ group: 'tracked', threads, secureThreads: threads, reservations, callers });
      if (threads > 1) all.push({ group: 'short', threads, secureThreads: threads - 1, reservations, callers });
      // Without a number of threads there is no reservation, so system sessions are normal sessions.
      if (threads < 4 && reservations === 0) {
        all.push({ group: 'untracked', threads: 0, secureThreads: threads, reservations, callers });
      }
    }
  }
  for (const [reservations, callers] of OWN_CALLS) {
    for (const threads of [0, ...THREADS]) {
      if (threads === 0 && reservations > 0) continue;
      for (const secureThreads of threads < 2 ? [threads || 2] : [threads, threads - 1])
        for (const reserve of [false, true])
          all.push({ group: 'own', threads, secureThreads, reservations, callers, reserve });
    }
  }
  for (const [threads, secureThreads, reservations, callers] of CYCLES) {
    all.push({ group: 'cycle', threads, secureThreads, reservations, callers });
  }
  return all;
}

/** A configuration under a discipline. */
export function underDiscipline(configuration: Configuration, discipline: DisciplineName): ModelConfig {
  return {
    discipline,
    totalThreadCount: configuration.threads,
    secureThreads: configuration.secureThreads,
    initialSystemSessions: configuration.reservations,
    ...(configuration.reserve === true && keepsReserve(discipline) ? { reserve: true } : {}),
    ...parseCallers(configuration.callers),
  };
}
