import { scmiStatusName } from '../protocol/scmi.js';

/** The error status with which an SCMI platform answered a request. Match on `status`. */
export class ScmiError extends Error {
  override readonly name = 'ScmiError';

  /** @param status a `ScmiStatus`; `protocolError` also for an invalid answer. */
  constructor(
    readonly status: number,
    doing: string,
  ) {
    super(`${doing}: ${scmiStatusName(status)}`);
  }
}
