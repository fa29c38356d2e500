/** An SCMI agent over OP-TEE: clocks, regulators and resets whose SCMI server is in secure world. */
export { ScmiProtocol, ScmiStatus } from '../protocol/scmi.js';
export { ScmiAgent, type ScmiAgentOptions, type ScmiProtocolName } from './scmi-agent.js';
export type { ScmiTransport } from './scmi-channel.js';
export { ScmiError } from './scmi-error.js';
export type { ScmiBase, ScmiClocks, ScmiResets, ScmiValues, ScmiVoltages } from './scmi-protocols.js';
