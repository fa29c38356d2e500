import { describe, expect, it, vi } from 'vitest';
import { type SmcRegisters, smcRegisters } from '../../../src/protocol/conduit.js';
import { OpteeSmc } from '../../../src/protocol/optee-smc.js';
import { Mailbox, mailboxSize } from '../../../src/worlds/qemu/mailbox.js';
import { MailboxConduit } from '../../../src/worlds/qemu/mailbox-conduit.js';

const spinMicroseconds = 400;
const call = smcRegisters(OpteeSmc.getThreadCount);

/** A mailbox whose firmware is the test: a call is done when the host has looked so many times. */
class Firmware extends Mailbox {
  looks = 0;
  private left = 0;

  constructor() {
    const buffer = new ArrayBuffer(mailboxSize);
    // firmware/layout.h: SLOT_STATE of the first CPU is CPU_AWAKE.
    new Int32Array(buffer)[(0x100 + 0x44) / 4] = 1;
    super(buffer);
  }

  override post(cpu: number, number: number, registers: SmcRegisters): void {
    super.post(cpu, number, registers);
    this.left = this.looks;
  }

  override isDone(): boolean {
    return this.left-- <= 0;
  }

  /** The call inside is done. */
  finish(): void {
    this.left = 0;
  }
}

/** A conduit to one CPU. */
function oneCpu() {
  const firmware = new Firmware();
  const conduit = new MailboxConduit(firmware, {
    cpus: 1,
    spinMicroseconds,
    limitMs: () => Number.POSITIVE_INFINITY,
    ready: () => undefined,
    entered: () => undefined,
    returned: () => undefined,
    ring: () => undefined,
    failed: () => undefined,
    interrupt: () => undefined,
  });
  conduit.onBell();
  return {
    conduit,
    firmware,
    quick: () => {
      firmware.looks = 0;
      return conduit.smc(call);
    },
    /** A call that is done when the host has gone to sleep; how long it kept the event loop before, in microseconds. */
    slow: async () => {
      firmware.looks = Number.POSITIVE_INFINITY;
      const started = performance.now();
      const answer = conduit.smc(call);
      const blocked = (performance.now() - started) * 1000;
      firmware.finish();
      conduit.onBell();
      await answer;
      return blocked;
    },
  };
}

describe('the conduit through the mailbox', () => {
  it('yields to the event loop between calls that complete at once', async () => {
    const { quick } = oneCpu();
    let turned = false;
    setImmediate(() => {
      turned = true;
    });
    let calls = 0;
    while (!turned && ++calls < 1_000_000) await quick();
    expect(turned).toBe(true);
  });

  it('stops spinning for long calls, until one is short again', async () => {
    const { quick, slow } = oneCpu();
    const several = async () => {
      const blocked = [];
      for (let count = 0; count < 15; count++) blocked.push(await slow());
      return blocked;
    };
    for (const blocked of await several()) expect(blocked, 'at first').toBeGreaterThanOrEqual(spinMicroseconds);
    await slow();
    await slow();
    expect(Math.min(...(await several())), 'after several').toBeLessThan(spinMicroseconds);
    // One of so many is still spun for.
    for (let count = 0; count < 16; count++) await quick();
    expect(await slow(), 'after a short one').toBeGreaterThanOrEqual(spinMicroseconds);
  });

  it('lets the caller of a started call run while it is in secure world', async () => {
    const { conduit, firmware } = oneCpu();
    firmware.looks = Number.POSITIVE_INFINITY;
    const looks = vi.spyOn(firmware, 'isDone');
    const answer = conduit.start(call);
    // Once, for a call that was done before the host went to sleep.
    expect(looks).toHaveBeenCalledTimes(1);
    firmware.finish();
    conduit.onBell();
    expect(await answer).toMatchObject({ a0: expect.any(Number) });
  });

  it('also spins for calls that waited for the CPU, without a doorbell for each', async () => {
    const { conduit, firmware } = oneCpu();
    firmware.looks = Number.POSITIVE_INFINITY;
    const answers = [1, 2, 3].map(async () => conduit.smc(call));
    firmware.finish();
    firmware.looks = 3;
    conduit.onBell();
    expect(await Promise.all(answers)).toHaveLength(3);
  });
});
