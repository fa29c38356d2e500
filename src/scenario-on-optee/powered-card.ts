import { type Clock, sleep } from '../clock/clock.js';
import { rpmbTestKey } from '../protocol/rpmb.js';
import { EmulatedEmmc, hmacSha256, MmcHost, type RpmbDevice } from '../rpmb/index.js';
import type { ScmiAgent } from '../scmi/index.js';

/** A clock or a regulator that an SCMI agent controls. */
interface Switch {
  on(): Promise<void>;
  off(): Promise<void>;
}

/**
 * An eMMC whose regulator and clock are controlled over SCMI. Accesses wait until the agent is connected; then the host
 * switches both on for each access. The key is already programmed, so OP-TEE can use it by either route.
 */
export class PoweredCard {
  readonly host: RpmbDevice;
  /** The number of accesses that have begun, and of those that are done. */
  begun = 0;
  done = 0;
  private readonly card: EmulatedEmmc;
  private switches: readonly Switch[] = [];
  private powered = false;
  private connected: () => void = () => {};
  private readonly connection = new Promise<void>((resolve) => {
    this.connected = resolve;
  });

  constructor(clock: Clock, accessMs: number) {
    this.card = new EmulatedEmmc({ hmac: hmacSha256, key: rpmbTestKey, powered: () => this.powered });
    const { cid, sizeMultiplier, reliableWriteSectors } = this.card;
    const slow: RpmbDevice = {
      ...{ cid, sizeMultiplier, reliableWriteSectors },
      exchange: async (frames, answerSize) => {
        await sleep(clock, accessMs);
        const answer = this.card.exchange(frames, answerSize);
        this.done++;
        return answer;
      },
    };
    this.host = new MmcHost(slow, {
      on: async () => {
        this.begun++;
        await this.connection;
        for (const each of this.switches) await each.on();
        this.powered = true;
      },
      off: async () => {
        this.powered = false;
        for (const each of this.switches.toReversed()) await each.off();
      },
    });
  }

  /** The number of writes that the card has completed. */
  get writes(): number {
    return this.card.writeCounter;
  }

  /**
   * Use the agent to switch the clocks and regulators that the card needs, by name.
   * @throws RangeError naming one that OP-TEE's SCMI server does not have.
   */
  async connect(agent: ScmiAgent, needs: readonly string[]): Promise<void> {
    const { clocks, voltages } = agent;
    const known = new Map<string, Switch>();
    for (let clock = 0, count = await clocks.count(); clock < count; clock++)
      known.set((await clocks.describeClock(clock)).name, {
        on: () => clocks.enable(clock),
        off: () => clocks.disable(clock),
      });
    for (let domain = 0, count = await voltages.count(); domain < count; domain++)
      known.set((await voltages.describeDomain(domain)).name, {
        on: () => voltages.enable(domain),
        off: () => voltages.disable(domain),
      });
    this.switches = needs.map((name) => {
      const found = known.get(name);
      if (found === undefined)
        throw new RangeError(`OP-TEE's SCMI server has no ${name}; it has ${[...known.keys()].join(', ')}`);
      return found;
    });
    this.connected();
  }
}
