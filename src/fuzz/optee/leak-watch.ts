import { temporary, value } from '../../client/parameters.js';
import type { Tee } from '../../client/tee.js';
import { machineClock, sleep } from '../../clock/clock.js';
import type { Conduit } from '../../protocol/conduit.js';
import { smcRegisters } from '../../protocol/conduit.js';
import { OpteeSmc, OpteeSmcReturn } from '../../protocol/optee-smc.js';
import type { Verdict } from '../engine/verdict.js';

/** The pseudo-TA for statistics: pta_stats.h of OP-TEE/optee_os, CFG_WITH_STATS. */
const statistics = 'd96a5b40-e2c7-b1af-8794-1002a5d5c61b';
const allocStats = 1;
const poolSize = 56;
const maxPools = 16;
/**
 * A pool that has grown in this many consecutive checks is a leak. Fewer are expected: caches fill, and the heap
 * fragments.
 */
const growingLooks = 8;
/** Turns of the event loop in which a call of the driver's own must end, such as the bottom half of a notification. */
const mostTurns = 1000;

/** Detects resources that are still allocated when all clients have gone. */
export class LeakWatch {
  private memory: number | undefined;
  /** By pool: bytes allocated, and the number of consecutive checks in which they grew. */
  private readonly pools = new Map<string, { allocated: number; grew: number }>();
  private withoutStatistics = false;

  constructor(
    private readonly tee: Tee,
    private readonly conduit: Conduit,
  ) {}

  /** Check for leaks. No client may be open. */
  async look(): Promise<readonly Verdict[]> {
    const verdicts: Verdict[] = [];
    const { normal_in_flight: inFlight } = this.counters;
    if (inFlight !== 0) verdicts.push(leak('calls in flight', `${inFlight} calls are in flight without a client`));
    const inUse = this.tee.sharedMemoryInUse;
    this.memory ??= inUse;
    if (inUse > this.memory)
      verdicts.push(leak('shared memory', `${inUse - this.memory} bytes of shared memory were not released`));
    this.memory = Math.max(this.memory, inUse);
    if (await this.isThreadInUse())
      verdicts.push(leak('thread', 'a thread of secure world is in use although no call uses it'));
    verdicts.push(...(await this.growing()));
    return verdicts;
  }

  private get counters() {
    return this.tee.queueState().counters;
  }

  /** Whether a thread of secure world has a call, and none of the driver's own: a notification may come at any time. */
  private async isThreadInUse(): Promise<boolean> {
    for (let turn = 0; turn < mostTurns; turn++) {
      const before = this.counters;
      // Returns EBUSY while a thread of secure world has a call.
      const { a0 } = await this.conduit.smc(smcRegisters(OpteeSmc.disableShmCache));
      if (a0 !== OpteeSmcReturn.ebusy) return false;
      if (ownCalls(before) + ownCalls(this.counters) === 0) return true;
      await sleep(machineClock, 0);
    }
    return true;
  }

  private async growing(): Promise<readonly Verdict[]> {
    if (this.withoutStatistics) return [];
    const verdicts: Verdict[] = [];
    const context = this.tee.openContext({ label: 'leak watch' });
    try {
      const session = await context.openSession(statistics);
      const [, pools] = await session.invoke(allocStats, [value.input(0), temporary.output(maxPools * poolSize)]);
      for (const { name, allocated } of poolsOf(pools)) {
        const known = this.pools.get(name) ?? { allocated: Number.POSITIVE_INFINITY, grew: 0 };
        const grew = allocated > known.allocated ? known.grew + 1 : 0;
        this.pools.set(name, { allocated, grew });
        if (grew === growingLooks)
          verdicts.push(leak(name, `${name} of OP-TEE grows from check to check, to ${allocated} bytes`));
      }
    } catch {
      this.withoutStatistics = true;
    } finally {
      await context.close().catch(() => undefined);
    }
    return verdicts;
  }
}

function ownCalls({ system_in_flight = 0, relief_in_flight = 0 }: Readonly<Record<string, number>>): number {
  return system_in_flight + relief_in_flight;
}

/** struct pta_stats_alloc: a name of 32 octets, then counters. */
function poolsOf(octets: Uint8Array): readonly { readonly name: string; readonly allocated: number }[] {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.length);
  const pools: { readonly name: string; readonly allocated: number }[] = [];
  for (let at = 0; at + poolSize <= octets.length; at += poolSize) {
    const text = new TextDecoder().decode(octets.subarray(at, at + 32));
    pools.push({ name: text.split('\0')[0] ?? '', allocated: view.getUint32(at + 32, true) });
  }
  return pools;
}

function leak(what: string, sentence: string): Verdict {
  return { kind: 'leak', signature: `leak: ${what}`, what: `After all clients had exited, ${sentence}` };
}
