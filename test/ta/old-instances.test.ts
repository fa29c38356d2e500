import { copyFileSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTee, type Tee } from '../../src/index.js';
import { sims, simsKeepAlive } from '../regression/sims.js';
import { osTest } from '../support/optee-test-applications.js';
import { onRealOptee, folder as optee, whyNot } from '../worlds/qemu/real-optee.js';

describe.skipIf(whyNot !== undefined)(onRealOptee('a trusted application rebuilt while a TEE is open'), () => {
  let folder: string;
  let tee: Tee;
  let warnings: string[];
  const listen = ({ name, message }: Error) => {
    if (name === 'NormalworldWarning') warnings.push(message);
  };
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'normalworld-old-'));
    for (const uuid of [sims, simsKeepAlive, osTest])
      copyFileSync(join(optee.trustedApplications, `${uuid}.ta`), join(folder, `${uuid}.ta`));
    warnings = [];
    process.on('warning', listen);
    tee = await openTee({ world: 'qemu', taFolders: [folder, optee.trustedApplications] });
  });
  afterEach(async () => {
    await tee?.close();
    process.off('warning', listen);
    rmSync(folder, { recursive: true });
  });

  const opened = async (uuid: string) => {
    const session = await tee.openContext().openSession(uuid);
    return () => session.close();
  };
  const rebuild = (uuid: string) => {
    const path = join(folder, `${uuid}.ta`);
    // Its content differs; OP-TEE would refuse it, but does not load it.
    writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.alloc(1)]));
  };
  /** A warning comes after the session. One about another file ends the wait for those that do not come. */
  const warningsUntil = async (uuid: string) => {
    const isThere = () => warnings.some((text) => text.includes(`${uuid}.ta has changed`));
    while (!isThere()) await new Promise((resolve) => setImmediate(resolve));
    return warnings;
  };

  it('is warned about if its instance is kept alive', async () => {
    await (await opened(simsKeepAlive))();
    rebuild(simsKeepAlive);
    await opened(simsKeepAlive);
    expect(await warningsUntil(simsKeepAlive)).toEqual([
      expect.stringMatching(
        /^\/.*\.ta has changed, but a session was opened with an instance of the old image.*open a new TEE$/,
      ),
    ]);
  });

  it('is warned about if a single instance has another session', async () => {
    await opened(sims);
    rebuild(sims);
    await opened(sims);
    expect(await warningsUntil(sims)).toHaveLength(1);
  });

  it('is not warned about if it is loaded again, or has the same content', async () => {
    await opened(osTest);
    const path = join(folder, `${osTest}.ta`);
    utimesSync(path, new Date(), new Date(1));
    await (await opened(osTest))();
    await opened(simsKeepAlive);
    utimesSync(join(folder, `${simsKeepAlive}.ta`), new Date(), new Date(1));
    await opened(simsKeepAlive);
    // The last in order: what comes before it has been told.
    await opened(sims);
    rebuild(sims);
    await opened(sims);
    expect(await warningsUntil(sims)).toHaveLength(1);
  });
});
