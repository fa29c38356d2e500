import { type Clock, sleep } from '../clock/clock.js';
import { RpcCommand } from '../protocol/optee-rpc-command.js';
import { EmulatedEmmc, hmacSha256, MmcHost, type RpmbDevice } from '../rpmb/index.js';
import type { RunJournal, ServiceRequest } from './run-journal.js';
import type { ScenarioEmmc } from './scenario.js';
import type { InvokeFor } from './services.js';

/** RPCs that the card answers: one of them at a time, as OP-TEE has one mutex for the RPMB. */
const rpcs: readonly number[] = [RpcCommand.rpmbFrames, RpcCommand.rpmb];

/** RPMB_SIZE_MULT: the largest partition that there is, a block for every client. */
const sizeMultiplier = 128;

export interface EmmcSurroundings {
  readonly journal: RunJournal;
  readonly clock: Clock;
  /** The card has all that it needs. */
  readonly powered: () => boolean;
  readonly invokeFor: InvokeFor;
}

/** The emulated eMMC of a scenario in its host, which has what the card needs switched on for each access. */
export function scenarioEmmc(
  { access, needs, agent }: ScenarioEmmc,
  { journal, clock, powered, invokeFor }: EmmcSurroundings,
): RpmbDevice {
  const card = new EmulatedEmmc({ hmac: hmacSha256, sizeMultiplier, powered });
  const { cid, reliableWriteSectors } = card;
  const slow: RpmbDevice = {
    cid,
    sizeMultiplier,
    reliableWriteSectors,
    async exchange(frames, answerSize) {
      await sleep(clock, access);
      return card.exchange(frames, answerSize);
    },
  };

  /** For whom the card is accessed. */
  let request: ServiceRequest | undefined;
  const set = async (names: readonly string[], state: 'on' | 'off') => {
    for (const name of names) {
      if (request === undefined || agent === undefined) throw new Error(`nobody asked for ${name} to be ${state}`);
      await invokeFor(request, agent, `${name}-${state}`);
    }
    if (request !== undefined) request.waits = { for: 'time' };
  };
  const host = new MmcHost(slow, { on: () => set(needs, 'on'), off: () => set(needs.toReversed(), 'off') });

  return {
    cid,
    sizeMultiplier,
    reliableWriteSectors,
    async exchange(frames, answerSize) {
      request = journal.beginDeviceRequest(rpcs, 'the eMMC');
      try {
        return await host.exchange(frames, answerSize);
      } finally {
        if (request !== undefined) journal.endRequest(request);
      }
    },
  };
}
