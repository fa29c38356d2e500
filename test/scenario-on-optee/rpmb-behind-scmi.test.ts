import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { DisciplineName } from '../../src/index.js';
import { builtOptee } from '../../src/optee-build/built-optee.js';
import { parseScenario } from '../../src/scenario/file/scenario-file.js';
import { realWorkload } from '../../src/scenario-on-optee/real-workload.js';
import { runOnOptee } from '../../src/scenario-on-optee/run-on-optee.js';
import { whyNot } from '../worlds/qemu/real-optee.js';

const file = new URL('../../scenarios/rpmb-scmi-deadlock.yaml', import.meta.url);
const scenario = realWorkload(parseScenario(readFileSync(file, 'utf8'), 'rpmb-scmi-deadlock.yaml'));
const workload = { ...scenario, clients: scenario.clients.map((client) => ({ ...client, repeat: 1 })) };

/** By what was built; the last one leaves the key to the card, and then the kernel carries the frames. */
const builds = {
  smc: 'sid-rpmb-scmi-threads4',
  ffa: 'sid-ffa-rpmb-scmi-threads4',
} as const;

for (const [abi, name] of Object.entries(builds)) {
  const built = await builtOptee(name);
  const options = `${abi === 'ffa' ? '--ffa ' : ''}--rpmb --scmi --threads 4`;
  const missing =
    whyNot ??
    (built !== undefined && existsSync(built.folder.image) ? undefined : `normalworld optee build ${options}`);
  const title = `storage of the real OP-TEE, whose card is behind its own SCMI server, over ${abi}`;
  describe.skipIf(missing !== undefined)(missing === undefined ? title : `${title} (skipped: ${missing})`, () => {
    const run = (queue: DisciplineName, system: boolean) => {
      if (built === undefined) throw new Error('not built');
      const { image, trustedApplications } = built.folder;
      return runOnOptee(workload, {
        queue,
        system,
        optee: image,
        taFolder: trustedApplications,
        seed: 1,
        limitMs: 120_000,
      });
    };

    it('succeeds with a system session under hand-off', async () => {
      const result = await run('hand-off', true);
      expect(result).toMatchObject({ abi, system: { asked: true, granted: true }, outcome: 'finished', written: 6 });
      expect(result.accesses).toBeGreaterThan(6);
    }, 130_000);

    it('deadlocks without one: every thread is held, and SCMI sleeps in the queue', async () => {
      const result = await run('hand-off', false);
      expect(result).toMatchObject({ system: { asked: false, granted: false }, outcome: 'deadlock' });
      expect(result.waits.filter((wait) => wait.includes('holds a thread of secure world'))).toHaveLength(4);
      expect(result.waits.join('\n')).toMatch(/waits for (the supplicant: RPMB|the RPMB device)/);
      expect(result.waits.at(-1)).toMatch(/calls? sleeps? in the queue for a thread/);
    }, 130_000);

    it('deadlocks under Linux up to 6.7, which has no system sessions', async () => {
      const result = await run('linux-6.7', true);
      expect(result).toMatchObject({ system: { asked: true, granted: false }, outcome: 'deadlock' });
    }, 130_000);
  });
}
