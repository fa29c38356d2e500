import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { opteeNamed } from '../optee-build/built-optee.js';
import { opteeFolder } from '../worlds/qemu/optee-folder.js';

/**
 * The TA dev kit of the OP-TEE named by `--optee`, or of the fetched one.
 * @throws RangeError if there is no such OP-TEE; Error with instructions if there is no kit.
 */
export async function findKit(optee: string | undefined): Promise<string> {
  const { kit: own, isThere } = await opteeNamed(optee);
  if (!isThere && optee !== undefined)
    throw new RangeError(`there is no OP-TEE "${optee}": neither a file nor a name from optee list`);
  const given = process.env.TA_DEV_KIT_DIR || undefined;
  const kit = given ?? own ?? opteeFolder().kit;
  if (existsSync(join(kit, 'mk/ta_dev_kit.mk'))) return kit;
  throw new Error(
    given === undefined
      ? `no TA dev kit in ${kit}: npx normalworld optee fetch, or give that of your own build (export-ta_arm64) in TA_DEV_KIT_DIR`
      : `TA_DEV_KIT_DIR is ${given}, which has no mk/ta_dev_kit.mk: it is the folder export-ta_arm64 of OP-TEE's build`,
  );
}
