import { type Clock, sleep } from '../clock/clock.js';
import { rpmbTestKey } from '../protocol/rpmb.js';
import { EmulatedEmmc, hmacSha256, MmcHost, type RpmbDevice } from '../rpmb/index.js';
import type { ScmiAgent } from '../scmi/index.js';

/** Switches something that an agent controls. */
interface Switch {
  on(): Promise<void>;
  off(): Promise<void>;
}

/**
 * An eMMC whose regulator and clock are behind SCMI: nothing happens in it before the agent is there, and the host has both
 * switched on for each access. The key is in it already, so that OP-TEE uses it whichever way it takes.
 */
export class PoweredCard {
  readonly host: RpmbDevice;
  /** Accesses that were begun, and those that were done. */
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

  /** Writes that the card has done. */
  get writes(): number {
    return this.card.writeCounter;
  }

  /**
   * Have the agent switch what the card needs, by name.
   * @throws RangeError naming what OP-TEE's SCMI server does not have.
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
