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
  scmiNameSize,
  VoltageMessage,
  voltageOff,
  voltageOn,
} from '../protocol/scmi.js';
import type { ScmiChannel } from './scmi-channel.js';
import { ScmiError } from './scmi-error.js';

/** The possible values of a clock or a regulator: a list, or a range with a step. */
export type ScmiValues =
  | { readonly values: readonly number[] }
  | { readonly min: number; readonly max: number; readonly step: number };

/** The maximum number of values that a platform may list, so that a faulty platform cannot keep the agent in a loop. */
const mostValues = 4096;

/** One protocol of a platform, over a channel. */
abstract class Protocol {
  protected abstract readonly id: number;
  protected abstract readonly name: string;

  constructor(protected readonly channel: ScmiChannel) {}

  /** The protocol's version, major in the upper half. */
  async version(): Promise<number> {
    const answer = await this.request(ScmiMessage.protocolVersion, [], 'reading the version', 4);
    return answer.getUint32(0, true);
  }

  protected async attributes(): Promise<number> {
    const answer = await this.request(ScmiMessage.protocolAttributes, [], 'reading the attributes', 4);
    return answer.getUint32(0, true);
  }

  /** @param size minimum size of the answer in octets. */
  protected async request(message: number, words: readonly number[], what: string, size: number): Promise<DataView> {
    const doing = `SCMI ${this.name}: ${what}`;
    const answer = await this.channel.request(this.id, message, words, doing);
    if (answer.byteLength < size)
      throw new ScmiError(ScmiStatus.protocolError, `${doing}: ${answer.byteLength} bytes, expected ${size}`);
    return answer;
  }

  /** DESCRIBE_RATES and DESCRIBE_LEVELS. */
  protected async describe(
    message: number,
    id: number,
    size: 4 | 8,
    read: (answer: DataView, offset: number) => number,
  ): Promise<ScmiValues> {
    const values: number[] = [];
    for (;;) {
      const what = `describing ${id}`;
      const answer = await this.request(message, [id, values.length], what, 4);
      const flags = answer.getUint32(0, true);
      const count = flags & 0xfff;
      const remaining = flags >>> 16;
      if (answer.byteLength < 4 + count * size || (count === 0 && remaining > 0) || values.length + count > mostValues)
        throw new ScmiError(
          ScmiStatus.protocolError,
          `SCMI ${this.name}: ${what}: ${count} values and ${remaining} more in ${answer.byteLength} bytes`,
        );
      for (let index = 0; index < count; index++) values.push(read(answer, 4 + index * size));
      if ((flags & describesRange) !== 0) {
        const [min, max, step] = values;
        if (min === undefined || max === undefined || step === undefined || values.length !== 3)
          throw new ScmiError(
            ScmiStatus.protocolError,
            `SCMI ${this.name}: ${what}: a range of ${values.length} values`,
          );
        return { min, max, step };
      }
      if (remaining === 0) return { values };
    }
  }
}

/** The base protocol: identification of the platform. */
export class ScmiBase extends Protocol {
  protected readonly id = ScmiProtocol.base;
  protected readonly name = 'base';

  async vendor(): Promise<string> {
    return nameAt(await this.request(BaseMessage.discoverVendor, [], 'reading the vendor', scmiNameSize), 0);
  }

  /** Ids of the platform's protocols other than this one. */
  async protocols(): Promise<readonly number[]> {
    const total = (await this.attributes()) & 0xff;
    const protocols: number[] = [];
    while (protocols.length < total) {
      const answer = await this.request(
        BaseMessage.discoverListProtocols,
        [protocols.length],
        'listing the protocols',
        4,
      );
      const count = answer.getUint32(0, true);
      if (count === 0 || count > total - protocols.length || answer.byteLength < 4 + count)
        throw new ScmiError(
          ScmiStatus.protocolError,
          `SCMI base: listing the protocols: ${count} in ${answer.byteLength} bytes, ${total} in all`,
        );
      for (let index = 0; index < count; index++) protocols.push(answer.getUint8(4 + index));
    }
    return protocols;
  }
}

/** Clocks, by number from 0. Rates in hertz. */
export class ScmiClocks extends Protocol {
  protected readonly id = ScmiProtocol.clock;
  protected readonly name = 'clock';

  async count(): Promise<number> {
    return (await this.attributes()) & 0xffff;
  }

  async describeClock(clock: number): Promise<{ readonly name: string; readonly enabled: boolean }> {
    const answer = await this.request(ClockMessage.attributes, [clock], `describing clock ${clock}`, 4 + scmiNameSize);
    return { name: nameAt(answer, 4), enabled: (answer.getUint32(0, true) & 1) !== 0 };
  }

  rates(clock: number): Promise<ScmiValues> {
    return this.describe(ClockMessage.describeRates, clock, 8, wideAt);
  }

  async rate(clock: number): Promise<number> {
    return wideAt(await this.request(ClockMessage.rateGet, [clock], `reading the rate of clock ${clock}`, 8), 0);
  }

  /** @param hertz a rate that the clock supports. @throws ScmiError OUT_OF_RANGE, INVALID_PARAMETERS */
  async setRate(clock: number, hertz: number): Promise<void> {
    const words = [0, clock, hertz, Math.floor(hertz / 2 ** 32)];
    await this.request(ClockMessage.rateSet, words, `setting clock ${clock} to ${hertz} Hz`, 0);
  }

  async enable(clock: number): Promise<void> {
    await this.request(ClockMessage.configSet, [clock, 1], `enabling clock ${clock}`, 0);
  }

  async disable(clock: number): Promise<void> {
    await this.request(ClockMessage.configSet, [clock, 0], `disabling clock ${clock}`, 0);
  }
}

/** Voltage domains (regulators), by number from 0. Levels in microvolts. */
export class ScmiVoltages extends Protocol {
  protected readonly id = ScmiProtocol.voltage;
  protected readonly name = 'voltage';

  async count(): Promise<number> {
    return (await this.attributes()) & 0xffff;
  }

  async describeDomain(domain: number): Promise<{ readonly name: string }> {
    const what = `describing domain ${domain}`;
    return { name: nameAt(await this.request(VoltageMessage.domainAttributes, [domain], what, 4 + scmiNameSize), 4) };
  }

  levels(domain: number): Promise<ScmiValues> {
    return this.describe(VoltageMessage.describeLevels, domain, 4, (answer, offset) => answer.getInt32(offset, true));
  }

  async level(domain: number): Promise<number> {
    const what = `reading the level of domain ${domain}`;
    return (await this.request(VoltageMessage.levelGet, [domain], what, 4)).getInt32(0, true);
  }

  /** @param microvolts a level that the domain supports. @throws ScmiError OUT_OF_RANGE, INVALID_PARAMETERS */
  async setLevel(domain: number, microvolts: number): Promise<void> {
    const what = `setting domain ${domain} to ${microvolts} uV`;
    await this.request(VoltageMessage.levelSet, [domain, 0, microvolts], what, 0);
  }

  async enabled(domain: number): Promise<boolean> {
    const answer = await this.request(VoltageMessage.configGet, [domain], `reading the mode of domain ${domain}`, 4);
    return (answer.getUint32(0, true) & 0xf) !== voltageOff;
  }

  async enable(domain: number): Promise<void> {
    await this.request(VoltageMessage.configSet, [domain, voltageOn], `switching on domain ${domain}`, 0);
  }

  async disable(domain: number): Promise<void> {
    await this.request(VoltageMessage.configSet, [domain, voltageOff], `switching off domain ${domain}`, 0);
  }
}

/** Reset domains, by number from 0. */
export class ScmiResets extends Protocol {
  protected readonly id = ScmiProtocol.reset;
  protected readonly name = 'reset';

  async count(): Promise<number> {
    return (await this.attributes()) & 0xffff;
  }

  async describeDomain(domain: number): Promise<{ readonly name: string }> {
    const what = `describing domain ${domain}`;
    return { name: nameAt(await this.request(ResetMessage.domainAttributes, [domain], what, 8 + scmiNameSize), 8) };
  }

  /** Reset the domain: assert and deassert, in one autonomous step. */
  async reset(domain: number): Promise<void> {
    await this.request(ResetMessage.reset, [domain, resetAutonomous, 0], `resetting domain ${domain}`, 0);
  }

  async assert(domain: number): Promise<void> {
    await this.request(ResetMessage.reset, [domain, resetAssert, 0], `asserting reset of domain ${domain}`, 0);
  }

  async deassert(domain: number): Promise<void> {
    await this.request(ResetMessage.reset, [domain, 0, 0], `deasserting reset of domain ${domain}`, 0);
  }
}

/** A name, terminated by its first zero. */
function nameAt(answer: DataView, offset: number): string {
  const octets = new Uint8Array(answer.buffer, answer.byteOffset + offset, scmiNameSize);
  const end = octets.indexOf(0);
  return new TextDecoder().decode(end < 0 ? octets : octets.subarray(0, end));
}

function wideAt(answer: DataView, offset: number): number {
  return answer.getUint32(offset + 4, true) * 2 ** 32 + answer.getUint32(offset, true);
}
