import { type Clock, sleep } from '../../clock/clock.js';
import { RpcCommand } from '../../protocol/optee-rpc-command.js';
// Imported directly: the index exports cards in files, which a browser does not have.
import { EmulatedEmmc } from '../../rpmb/emulated-emmc.js';
import { MmcHost } from '../../rpmb/mmc-host.js';
import { hmacSha256 } from '../../rpmb/node/hmac.js';
import type { RpmbDevice } from '../../rpmb/rpmb-device.js';
import type { Locks } from '../journal/locks.js';
import type { OpenCall, RunJournal, ServiceRequest } from '../journal/run-journal.js';
import type { Scenario, ScenarioEmmc } from '../scenario.js';
import type { RunningApplication } from './running-application.js';
import type { InvokeFor } from './services.js';

/** RPCs that the card answers. There is one at a time, because OP-TEE has one mutex for the RPMB. */
const rpcs: readonly number[] = [RpcCommand.rpmbFrames, RpcCommand.rpmb];

/** RPMB_SIZE_MULT of the largest possible partition, so that every client has a block. */
const sizeMultiplier = 128;

interface Surroundings {
  readonly journal: RunJournal;
  readonly clock: Clock;
  readonly locks: Locks<OpenCall>;
  readonly invokeFor: InvokeFor;
}

/** The scenario's eMMC, if any, by the route of its frames. */
export function scenarioCards(
  { emmc, clients }: Scenario,
  applications: ReadonlyMap<string, RunningApplication>,
  surroundings: Surroundings,
): Readonly<Record<ScenarioEmmc['rpmb'], readonly RpmbDevice[]>> {
  if (emmc === undefined) return { kernel: [], supplicant: [] };
  const service = applications.get(clients.get(emmc.agent ?? '')?.application ?? '');
  const card = scenarioEmmc(emmc, surroundings, () => service?.powered?.(emmc.needs) ?? true);
  return { kernel: [], supplicant: [], [emmc.rpmb]: [card] };
}

/**
 * The emulated eMMC of a scenario in its host, which switches on what the card needs for each access.
 * @param powered whether everything that the card needs is on.
 */
function scenarioEmmc(
  { rpmb, access, needs, agent, claim, switching }: ScenarioEmmc,
  { journal, clock, locks, invokeFor }: Surroundings,
  powered: () => boolean,
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

  /** The request that the card is accessed for. */
  let request: ServiceRequest | undefined;
  const held = async (name: string, work: () => Promise<void>) => {
    if (request === undefined) return work();
    const lock = locks.get(name);
    journal.waitFor(request, { for: 'lock', lock });
    await lock.held(request.task, work);
  };
  const set = async (names: readonly string[], state: 'on' | 'off') => {
    for (const name of names) {
      if (request === undefined || agent === undefined) throw new Error(`nobody asked for ${name} to be ${state}`);
      const served = request;
      const asked = `${name}-${state}`;
      if (switching === undefined) await invokeFor(served, agent, asked);
      else await held(switching, () => invokeFor(served, agent, asked));
    }
    if (request !== undefined) journal.waitFor(request, { for: 'time' });
  };
  const host = new MmcHost(slow, { on: () => set(needs, 'on'), off: () => set(needs.toReversed(), 'off') });

  return {
    cid,
    sizeMultiplier,
    reliableWriteSectors,
    async exchange(frames, answerSize) {
      request = journal.beginDeviceRequest(rpcs, 'the eMMC', rpmb === 'kernel');
      try {
        if (claim === undefined) return await host.exchange(frames, answerSize);
        let answer: Uint8Array = new Uint8Array();
        await held(claim, async () => {
          answer = await host.exchange(frames, answerSize);
        });
        return answer;
      } finally {
        if (request !== undefined) journal.endRequest(request);
      }
    },
  };
}
