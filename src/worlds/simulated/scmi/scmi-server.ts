import {
  BaseMessage,
  ClockMessage,
  describesRange,
  ResetMessage,
  resetAssert,
  resetAutonomous,
  ScmiMessage,
  ScmiProtocol,
  ScmiStatus,
  scmiHeaderMessage,
  scmiHeaderProtocol,
  scmiHeaderSize,
  scmiHeaderType,
  scmiNameSize,
  scmiVersions,
  VoltageMessage,
  voltageOff,
  voltageOn,
} from '../../../protocol/scmi.js';
import type { ScmiPlatform } from './scmi-platform.js';

/** Rates per answer: the number that fits into an SMT buffer of 128 bytes. */
const ratesPerAnswer = 8;

/** Thrown to refuse a command with a status. */
class Refusal extends Error {
  constructor(readonly status: number) {
    super();
  }
}

type Handler = (words: (index: number) => number) => readonly (number | string)[];

/**
 * The SCMI server of the simulated OP-TEE: takes a command, returns its answer. Source: SCMI specification 3.2;
 * core/drivers of SCP-firmware's and OP-TEE's own server (core/drivers/scmi-msg).
 */
export class ScmiServer {
  private readonly handlers: ReadonlyMap<number, ReadonlyMap<number, Handler>>;

  constructor(private readonly platform: ScmiPlatform) {
    this.handlers = new Map([
      [ScmiProtocol.base, this.base()],
      [ScmiProtocol.clock, this.clock()],
      [ScmiProtocol.voltage, this.voltage()],
      [ScmiProtocol.reset, this.reset()],
    ]);
  }

  /** @returns the answer; undefined if the message is not a command. */
  answer(message: Uint8Array): Uint8Array | undefined {
    if (message.length < scmiHeaderSize || message.length % 4 !== 0) return undefined;
    const view = new DataView(message.buffer, message.byteOffset, message.length);
    const header = view.getUint32(0, true);
    if (scmiHeaderType(header) !== 0) return undefined;
    const protocol = this.handlers.get(scmiHeaderProtocol(header));
    const handler = protocol?.get(scmiHeaderMessage(header));
    if (protocol === undefined || handler === undefined) return encode(header, ScmiStatus.notSupported, []);
    const word = (index: number) => {
      const offset = scmiHeaderSize + index * 4;
      if (offset + 4 > message.length) throw new Refusal(ScmiStatus.protocolError);
      return view.getUint32(offset, true);
    };
    try {
      return encode(header, ScmiStatus.success, handler(word));
    } catch (error) {
      if (error instanceof Refusal) return encode(header, error.status, []);
      throw error;
    }
  }

  private base(): Map<number, Handler> {
    const { vendor = 'normalworld' } = this.platform;
    const others = [ScmiProtocol.clock, ScmiProtocol.reset, ScmiProtocol.voltage];
    return protocol(ScmiProtocol.base, others.length | (1 << 8), [
      [BaseMessage.discoverVendor, () => [vendor]],
      [BaseMessage.discoverSubVendor, () => ['']],
      [
        BaseMessage.discoverListProtocols,
        (word) => {
          const rest = others.slice(word(0));
          return [rest.length, rest.reduce((sum, id, index) => sum | (id << (8 * index)), 0)];
        },
      ],
    ]);
  }

  private clock(): Map<number, Handler> {
    const clocks = this.platform.clocks ?? [];
    return protocol(ScmiProtocol.clock, clocks.length, [
      [
        ClockMessage.attributes,
        (word) => {
          const clock = at(clocks, word(0));
          return [clock.enabled ? 1 : 0, clock.name];
        },
      ],
      [
        ClockMessage.describeRates,
        (word) => {
          const { rates } = at(clocks, word(0));
          if (word(1) > rates.length) throw new Refusal(ScmiStatus.outOfRange);
          const given = rates.slice(word(1), word(1) + ratesPerAnswer);
          const remaining = rates.length - word(1) - given.length;
          return [given.length | (remaining << 16), ...given.flatMap(wide)];
        },
      ],
      [
        ClockMessage.rateSet,
        (word) => {
          const clock = at(clocks, word(1));
          const hertz = word(3) * 2 ** 32 + word(2);
          if (!clock.rates.includes(hertz)) throw new Refusal(ScmiStatus.invalidParameters);
          clock.rate = hertz;
          return [];
        },
      ],
      [ClockMessage.rateGet, (word) => wide(at(clocks, word(0)).rate)],
      [
        ClockMessage.configSet,
        (word) => {
          const clock = at(clocks, word(0));
          if (word(1) > 1) throw new Refusal(ScmiStatus.invalidParameters);
          clock.enabled = word(1) === 1;
          return [];
        },
      ],
    ]);
  }

  private voltage(): Map<number, Handler> {
    const domains = this.platform.regulators ?? [];
    return protocol(ScmiProtocol.voltage, domains.length, [
      [VoltageMessage.domainAttributes, (word) => [0, at(domains, word(0)).name]],
      [
        VoltageMessage.describeLevels,
        (word) => {
          const { min, max, step } = at(domains, word(0)).range;
          return [3 | describesRange, min, max, step];
        },
      ],
      [
        VoltageMessage.configSet,
        (word) => {
          const domain = at(domains, word(0));
          if (word(1) !== voltageOff && word(1) !== voltageOn) throw new Refusal(ScmiStatus.invalidParameters);
          domain.enabled = word(1) === voltageOn;
          return [];
        },
      ],
      [VoltageMessage.configGet, (word) => [at(domains, word(0)).enabled ? voltageOn : voltageOff]],
      [
        VoltageMessage.levelSet,
        (word) => {
          const domain = at(domains, word(0));
          const { min, max, step } = domain.range;
          const level = word(2) | 0;
          if (level < min || level > max) throw new Refusal(ScmiStatus.outOfRange);
          if ((level - min) % step !== 0) throw new Refusal(ScmiStatus.invalidParameters);
          domain.level = level;
          return [];
        },
      ],
      [VoltageMessage.levelGet, (word) => [at(domains, word(0)).level]],
    ]);
  }

  private reset(): Map<number, Handler> {
    const domains = this.platform.resets ?? [];
    return protocol(ScmiProtocol.reset, domains.length, [
      [ResetMessage.domainAttributes, (word) => [0, 0xffff_ffff, at(domains, word(0)).name]],
      [
        ResetMessage.reset,
        (word) => {
          const domain = at(domains, word(0), ScmiStatus.notFound);
          const flags = word(1);
          if ((flags & ~(resetAutonomous | resetAssert)) !== 0) throw new Refusal(ScmiStatus.invalidParameters);
          const asserted = (flags & resetAutonomous) === 0 && (flags & resetAssert) !== 0;
          if (!asserted && (domain.asserted || (flags & resetAutonomous) !== 0)) domain.resets++;
          domain.asserted = asserted;
          return [];
        },
      ],
    ]);
  }
}

/** The messages of a protocol, including those that all protocols have. */
function protocol(id: number, attributes: number, messages: readonly (readonly [number, Handler])[]) {
  const handlers = new Map<number, Handler>([
    [ScmiMessage.protocolVersion, () => [scmiVersions[id] ?? 0]],
    [ScmiMessage.protocolAttributes, () => [attributes]],
    ...messages,
  ]);
  handlers.set(ScmiMessage.messageAttributes, (word) => {
    if (!handlers.has(word(0))) throw new Refusal(ScmiStatus.notFound);
    return [0];
  });
  return handlers;
}

/** @param missing the status of OP-TEE's server for a missing object: nearly always INVALID_PARAMETERS. */
function at<T>(things: readonly T[], id: number, missing: number = ScmiStatus.invalidParameters): T {
  const thing = things[id];
  if (thing === undefined) throw new Refusal(missing);
  return thing;
}

function wide(value: number): readonly [number, number] {
  return [value >>> 0, Math.floor(value / 2 ** 32)];
}

/** Encode header, status, and the rest: words, and names of 16 octets. */
function encode(header: number, status: number, rest: readonly (number | string)[]): Uint8Array {
  const size = rest.reduce<number>((sum, each) => sum + (typeof each === 'string' ? scmiNameSize : 4), 8);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, header, true);
  view.setInt32(4, status, true);
  let offset = 8;
  for (const each of rest) {
    if (typeof each === 'string') {
      bytes.set(new TextEncoder().encode(each).subarray(0, scmiNameSize - 1), offset);
      offset += scmiNameSize;
    } else {
      view.setUint32(offset, each >>> 0, true);
      offset += 4;
    }
  }
  return bytes;
}
