/** The result of one action of a schedule; times in milliseconds since the schedule began. */
export interface Outcome {
  /** Undefined if its caller had not returned from the action before. */
  readonly begin: number | undefined;
  /** Undefined if it had not returned at the end of the schedule. */
  readonly end: number | undefined;
  /** 0 or an errno. */
  readonly result: number;
}

export interface Run {
  /** The actions of a caller, in the order of the schedule. */
  of(name: string, which?: number): Outcome;
  /** For OP-TEE's console: milliseconds from each key to its echo. */
  readonly answers: readonly number[];
}

export interface Finding {
  readonly id: string;
  readonly title: string;
  /** Hand-off must not show the finding. */
  readonly cured: boolean;
  /** The schedule that init.c executes. */
  readonly schedule: string;
  judge(run: Run): { readonly shown: boolean; readonly measure: string };
}

export const findings: readonly Finding[];
/** Findings that no real kernel can show here, with the reason. */
export const notShown: readonly (readonly [id: string, why: string])[];
