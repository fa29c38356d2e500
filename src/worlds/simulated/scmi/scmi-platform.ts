/** A clock of the simulated board, controlled over SCMI. */
export class SimulatedClock {
  enabled = false;
  rate: number;

  /** @param rates the supported rates in hertz, ascending; the first one is set at the start. */
  constructor(
    readonly name: string,
    readonly rates: readonly number[],
  ) {
    this.rate = rates[0] ?? 0;
  }
}

/** A regulator of the simulated board, controlled over SCMI. */
export class SimulatedRegulator {
  enabled = false;
  level: number;

  /** The supported levels in microvolts; the lowest one is set at the start. */
  constructor(
    readonly name: string,
    readonly range: { readonly min: number; readonly max: number; readonly step: number },
  ) {
    this.level = range.min;
  }
}

/** A reset line of the simulated board, controlled over SCMI. */
export class SimulatedReset {
  asserted = false;
  /** The number of times it was deasserted. */
  resets = 0;

  constructor(readonly name: string) {}
}

/** The devices of an SCMI server. */
export interface ScmiPlatform {
  /** At most 15 characters. */
  readonly vendor?: string;
  readonly clocks?: readonly SimulatedClock[];
  readonly regulators?: readonly SimulatedRegulator[];
  readonly resets?: readonly SimulatedReset[];
}
