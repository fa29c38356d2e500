/** A clock of the simulated board, behind SCMI. */
export class SimulatedClock {
  enabled = false;
  rate: number;

  /** @param rates the rates that it can have, in hertz, ascending; the first is what it starts with. */
  constructor(
    readonly name: string,
    readonly rates: readonly number[],
  ) {
    this.rate = rates[0] ?? 0;
  }
}

/** A regulator of the simulated board, behind SCMI. */
export class SimulatedRegulator {
  enabled = false;
  level: number;

  /** Levels in microvolts; it starts with the lowest. */
  constructor(
    readonly name: string,
    readonly range: { readonly min: number; readonly max: number; readonly step: number },
  ) {
    this.level = range.min;
  }
}

/** A reset line of the simulated board, behind SCMI. */
export class SimulatedReset {
  asserted = false;
  /** How often it has been let out of reset. */
  resets = 0;

  constructor(readonly name: string) {}
}

/** What an SCMI server controls, and what agents may do. */
export interface ScmiPlatform {
  /** 15 characters. */
  readonly vendor?: string;
  readonly clocks?: readonly SimulatedClock[];
  readonly regulators?: readonly SimulatedRegulator[];
  readonly resets?: readonly SimulatedReset[];
}
