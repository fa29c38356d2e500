import type { Tee } from '../../client/tee.js';
import type { RunEnd } from '../../clock/virtual-clock.js';
import { TeecError } from '../../tee/teec-error.js';
import type { RunningApplication } from '../pieces/running-application.js';

/** Applications with which a new client cannot open a session, each with the error. */
export async function unusableApplications(
  tee: Tee,
  applications: ReadonlyMap<string, RunningApplication>,
  until: (work: Promise<void>) => Promise<RunEnd>,
): Promise<string[]> {
  const found: string[] = [];
  for (const [name, { uuid }] of applications) {
    let got = 'no answer';
    const open = async () => {
      const context = tee.openKernelContext({ label: 'newcomer' });
      try {
        await context.openSession(uuid);
        got = '';
      } catch (error) {
        if (!(error instanceof TeecError)) throw error;
        got = error.codeName;
      }
      await context.close();
    };
    const end = await until(open());
    if (got !== '') found.push(`${name}: ${got}`);
    if (end !== 'stopped') break;
  }
  return found;
}
