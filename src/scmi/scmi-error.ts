import { scmiStatusName } from '../protocol/scmi.js';

/** What an SCMI platform answered a request with. Match on `status`. */
export class ScmiError extends Error {
  override readonly name = 'ScmiError';

  /** @param status a `ScmiStatus`; `protocolError` also when the answer was none. */
  constructor(
    readonly status: number,
    doing: string,
  ) {
    super(`${doing}: ${scmiStatusName(status)}`);
  }
}
