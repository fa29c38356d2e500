/**
 * The System Control and Management Interface: message headers, protocols, statuses, and the layout of a channel in
 * shared memory. Source: SCMI specification, Arm DEN 0056, version 3.2.
 */

/** Protocol ids (section 4.1.1). */
export const ScmiProtocol = { base: 0x10, clock: 0x14, reset: 0x16, voltage: 0x17 } as const;

/** Messages that every protocol has (section 4.1.1). */
export const ScmiMessage = { protocolVersion: 0, protocolAttributes: 1, messageAttributes: 2 } as const;
/** Base protocol, section 4.2.2. */
export const BaseMessage = { discoverVendor: 3, discoverSubVendor: 4, discoverListProtocols: 6 } as const;
/** Clock protocol, section 4.6.2. */
export const ClockMessage = { attributes: 3, describeRates: 4, rateSet: 5, rateGet: 6, configSet: 7 } as const;
/** Reset protocol, section 4.8.2. */
export const ResetMessage = { domainAttributes: 3, reset: 4 } as const;
/** Voltage protocol, section 4.9.2. */
export const VoltageMessage = {
  domainAttributes: 3,
  describeLevels: 4,
  configSet: 5,
  configGet: 6,
  levelSet: 7,
  levelGet: 8,
} as const;

/** Protocol versions, major in the upper half: the first version of each protocol, which all platforms support. */
export const scmiVersions: Readonly<Record<number, number>> = {
  [ScmiProtocol.base]: 0x2_0000,
  [ScmiProtocol.clock]: 0x1_0000,
  [ScmiProtocol.reset]: 0x1_0000,
  [ScmiProtocol.voltage]: 0x1_0000,
};

/** Status codes (section 4.1.4), signed. */
export const ScmiStatus = {
  success: 0,
  notSupported: -1,
  invalidParameters: -2,
  denied: -3,
  notFound: -4,
  outOfRange: -5,
  busy: -6,
  commsError: -7,
  genericError: -8,
  hardwareError: -9,
  protocolError: -10,
} as const;

/** The name of a status for messages: `OUT_OF_RANGE`. */
export function scmiStatusName(status: number): string {
  const name = Object.entries(ScmiStatus).find(([, value]) => value === status)?.[0];
  return name === undefined ? `status ${status}` : name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

/**
 * A message header (table 4): bits 7:0 message, 9:8 type (0: a command or its response), 17:10 protocol, 27:18 token.
 */
export function scmiHeader(protocol: number, message: number, token: number): number {
  return message | (protocol << 10) | ((token & 0x3ff) << 18);
}
export function scmiHeaderMessage(header: number): number {
  return header & 0xff;
}
export function scmiHeaderType(header: number): number {
  return (header >>> 8) & 0x3;
}
export function scmiHeaderProtocol(header: number): number {
  return (header >>> 10) & 0xff;
}

/** Sizes in octets of a header and of a name. */
export const scmiHeaderSize = 4;
export const scmiNameSize = 16;

/** A channel in shared memory (SMT, section 5.1.2): offsets of its words. */
export const Smt = { status: 4, flags: 16, length: 20, header: 24, payload: 28 } as const;
/** Channel status: bit 0, the agent may write; bit 1, the last message was invalid. */
export const smtFree = 1 << 0;
export const smtError = 1 << 1;
/** PTA_SCMI: size in octets of an SMT buffer that holds any response. */
export const smtSize = 128;

/**
 * DESCRIBE_RATES and DESCRIBE_LEVELS: bit 12 means minimum, maximum and step; bits 31:16 count the remaining entries.
 */
export const describesRange = 1 << 12;

/** VOLTAGE_CONFIG_SET: architectural modes of a domain. */
export const voltageOff = 0;
export const voltageOn = 7;

/** RESET flags: bit 0, reset and release in one step; otherwise bit 1 asserts (1) or deasserts (0). */
export const resetAutonomous = 1 << 0;
export const resetAssert = 1 << 1;
