/** What became of one action of a schedule; milliseconds since its beginning. */
export interface Outcome {
  /** Nothing when its caller was not back from what was before it. */
  readonly begin: number | undefined;
  /** Nothing while it was not back when the schedule was over. */
  readonly end: number | undefined;
  /** 0, or an errno. */
  readonly result: number;
}

export interface Run {
  /** The actions of a caller, in the order of the schedule. */
  of(name: string, which?: number): Outcome;
  /** Of OP-TEE's console: milliseconds from each key to its echo. */
  readonly answers: readonly number[];
}

export interface Finding {
  readonly id: string;
  readonly title: string;
  /** Hand-off is to have it no more. */
  readonly cured: boolean;
  /** What init.c carries out. */
  readonly schedule: string;
  judge(run: Run): { readonly shown: boolean; readonly measure: string };
}

export const findings: readonly Finding[];
/** What no real kernel can show here, and why. */
export const notShown: readonly (readonly [id: string, why: string])[];
