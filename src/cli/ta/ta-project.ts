import { opteeNamed } from '../../optee-build/built-optee.js';
import { findKit } from '../../ta/find-kit.js';
import { findTaSources, projectRoot, type TaSources } from '../../ta/ta-sources.js';

export interface Project {
  readonly root: string;
  readonly applications: readonly TaSources[];
}

export async function projectIn(folder: string): Promise<Project> {
  const applications = await findTaSources(folder);
  return { root: projectRoot(applications[0]?.folder ?? folder), applications };
}

/** Run the tests with the OP-TEE that the applications are built for. */
export async function useOptee(name: string | undefined): Promise<void> {
  if (name === undefined) return;
  const { folder } = await opteeNamed(name);
  if (folder === undefined)
    throw new RangeError(`--optee ${name}: tests find an OP-TEE by its folder; give a name from optee list`);
  // Find the kit before the selected OP-TEE replaces the fetched one.
  process.env.TA_DEV_KIT_DIR = await findKit(name);
  process.env.NORMALWORLD_OPTEE = folder;
}
