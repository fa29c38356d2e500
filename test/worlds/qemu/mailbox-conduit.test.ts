import { describe, expect, it } from 'vitest';
import { smcRegisters } from '../../../src/protocol/conduit.js';
import { OpteeSmc } from '../../../src/protocol/optee-smc.js';
import { Mailbox, mailboxSize } from '../../../src/worlds/qemu/mailbox.js';
import { MailboxConduit } from '../../../src/worlds/qemu/mailbox-conduit.js';

const spinMicroseconds = 400;
const call = smcRegisters(OpteeSmc.getThreadCount);

// firmware/layout.h: words of the first CPU's slot.
const slotDone = (0x100 + 0x40) / 4;
const slotState = (0x100 + 0x44) / 4;
const awake = 1;

/** A conduit with one CPU, whose firmware is the test. */
function oneCpu() {
  const buffer = new ArrayBuffer(mailboxSize);
  const words = new Int32Array(buffer);
  const conduit = new MailboxConduit(new Mailbox(buffer), {
    cpus: 1,
    spinMicroseconds,
    callLimitMs: undefined,
    ready: () => undefined,
    entered: () => undefined,
    ring: () => undefined,
    failed: () => undefined,
    interrupt: () => undefined,
  });
  words[slotState] = awake;
  conduit.onBell();
  let calls = 0;
  return {
    /** A call that is done by the time that the host first looks. */
    quick: () => {
      words[slotDone] = ++calls;
      return conduit.smc(call);
    },
    /** A call that is done when the host has gone to sleep; how long it kept the event loop before, in microseconds. */
    slow: async () => {
      const started = performance.now();
      const answer = conduit.smc(call);
      const blocked = (performance.now() - started) * 1000;
      words[slotDone] = ++calls;
      conduit.onBell();
      await answer;
      return blocked;
    },
  };
}

describe('the conduit through the mailbox', () => {
  it('lets the event loop turn between calls that are all done at once', async () => {
    const { quick } = oneCpu();
    let turned = false;
    setImmediate(() => {
      turned = true;
    });
    let calls = 0;
    while (!turned && ++calls < 1_000_000) await quick();
    expect(turned).toBe(true);
  });

  it('gives up to spin for calls that outlast it, until one does not', async () => {
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
});
