/**
 * An SCMI agent: clocks, regulators and resets whose server is in OP-TEE. `node scmi-agent.js`
 *
 * What a board's SCMI server has is `board` here, in the simulated world. With an OP-TEE of yours that has the SCMI
 * pseudo-TA, open that instead, `openTee({ world: 'qemu', qemu: { optee: 'tee-pager_v2.bin' } })`: the rest stays.
 */
import assert from 'node:assert/strict';
import { openTee, TeecError, TeeResult } from 'normalworld';
import { ScmiAgent, ScmiError, ScmiStatus } from 'normalworld/scmi';
import { SimulatedClock, SimulatedRegulator, SimulatedReset, scmiPta } from 'normalworld/testing';

const board = {
  vendor: 'acme',
  clocks: [new SimulatedClock('emmc', [400_000, 25_000_000, 52_000_000])],
  regulators: [new SimulatedRegulator('vmmc', { min: 1_700_000, max: 3_300_000, step: 100_000 })],
  resets: [new SimulatedReset('emmc-reset')],
};
const tee = await openTee({ trustedApplications: [scmiPta(board, { channels: 2 })] });

// A channel is a session with the pseudo-TA, and asks to be a system session: a thread of secure world is kept for it.
const agent = await ScmiAgent.open(tee, { channels: { clock: 0, voltage: 1 } });
if (!agent.system)
  console.log('No thread is kept for SCMI: whoever holds the last one and waits for a clock waits for ever.');

console.log(`vendor ${await agent.base.vendor()}`);
for (let id = 0; id < (await agent.clocks.count()); id++) {
  const { name, enabled } = await agent.clocks.describeClock(id);
  const rates = await agent.clocks.rates(id);
  console.log(`clock ${id}: ${name}, ${enabled ? 'on' : 'off'}, ${await agent.clocks.rate(id)} Hz of`, rates);
}

// Power up an eMMC as its driver would: supply, clock, out of reset.
const [emmcClock, vmmc, emmcReset] = [0, 0, 0];
await agent.voltages.setLevel(vmmc, 1_800_000);
await agent.voltages.enable(vmmc);
await agent.clocks.setRate(emmcClock, 52_000_000);
await agent.clocks.enable(emmcClock);
await agent.resets.reset(emmcReset);
console.log(`${await agent.voltages.level(vmmc)} uV, ${await agent.clocks.rate(emmcClock)} Hz`);

// The platform refuses: an ScmiError with the status of its answer. The channel goes on.
for (const [what, ask, status] of [
  ['a rate that the clock does not have', () => agent.clocks.setRate(emmcClock, 1), ScmiStatus.invalidParameters],
  ['a level that would burn the card', () => agent.voltages.setLevel(vmmc, 5_000_000), ScmiStatus.outOfRange],
  ['a clock that is not there', () => agent.clocks.enable(7), ScmiStatus.invalidParameters],
]) {
  await assert.rejects(ask(), (error) => {
    if (!(error instanceof ScmiError)) throw error;
    console.log(`${what}: ${error.message}`);
    return error.status === status;
  });
}

// OP-TEE refuses: a TeecError. There is no channel 9, and there may be no SCMI service at all (ERROR_ITEM_NOT_FOUND).
await assert.rejects(ScmiAgent.open(tee, { channels: { reset: 9 } }), (error) => {
  if (!(error instanceof TeecError)) throw error;
  console.log(error.message);
  return error.code !== TeeResult.SUCCESS;
});

// And down again.
await agent.clocks.disable(emmcClock);
await agent.voltages.disable(vmmc);
await agent[Symbol.asyncDispose](); // `await using agent = ...` does it where the syntax is known
await tee.close();

assert.deepEqual([board.clocks[0].enabled, board.clocks[0].rate], [false, 52_000_000]);
assert.deepEqual([board.regulators[0].enabled, board.regulators[0].level], [false, 1_800_000]);
assert.equal(board.resets[0].resets, 1);
