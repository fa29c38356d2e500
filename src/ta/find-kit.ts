import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { opteeNamed } from '../optee-build/built-optee.js';
import { opteeFolder } from '../worlds/qemu/optee-folder.js';

/**
 * The TA dev kit of the OP-TEE that `--optee` names, or of the fetched one.
 * @throws Error saying how to get one.
 */
export async function findKit(optee: string | undefined): Promise<string> {
  const fetched = opteeFolder().kit;
  const { trustedApplications } = await opteeNamed(optee);
  const own = trustedApplications === undefined ? undefined : join(trustedApplications, '../ta_dev_kit');
  const given = process.env.TA_DEV_KIT_DIR;
  for (const kit of [given, own, fetched])
    if (kit !== undefined && existsSync(join(kit, 'mk/ta_dev_kit.mk'))) return kit;
  throw new Error(
    given === undefined
      ? `no TA dev kit in ${fetched}: npx normalworld optee fetch, or give that of your own build (export-ta_arm64) in TA_DEV_KIT_DIR`
      : `TA_DEV_KIT_DIR is ${given}, which has no mk/ta_dev_kit.mk: it is the folder export-ta_arm64 of OP-TEE's build`,
  );
}
