/**
 * The pseudo-TA through which agents access the SCMI server in OP-TEE. Source of every value: pta_scmi_client.h of
 * OP-TEE/optee_os (lib/libutee/include/pta_scmi_client.h).
 */
import type { Uuid } from './uuid.js';

export const scmiPtaUuid: Uuid = 'a8cfe406-d4f5-4a2e-9f8d-a25dc754c099';

/** PTA_SCMI_CMD_* */
export const ScmiPtaCommand = {
  /** value[0] out: a capabilities, b extended capabilities. */
  capabilities: 0,
  /** value[0] in: a channel handle. The message is in the channel's own memory. */
  processSmtChannel: 1,
  /** value[0] in: a channel handle; memref[1] inout: the SMT buffer. */
  processSmtChannelMessage: 2,
  /** value[0] inout: a channel id in, handle out; b capabilities wanted. */
  getChannelHandle: 3,
  /** value[0] in: a channel handle; memref[1] in: message; memref[2] out: answer. */
  processMsgChannel: 4,
} as const;

/** PTA_SCMI_CAPS_* */
export const ScmiPtaCapability = { smt: 1 << 0, msg: 1 << 1 } as const;
