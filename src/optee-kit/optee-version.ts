import { fetchedPackages } from '../debian/fetch-folders.js';
import { openArchive } from '../debian/open-archive.js';
import { type BuildSuite, buildSuites } from '../optee-build/build-options.js';
import { fetchedFolder } from '../optee-build/built-optee.js';

/**
 * The suite with a version of OP-TEE. Fetched folders are searched first, then the archive.
 * @param version `4.5`, or more of it: `4.5.0-2`.
 * @throws RangeError naming the available versions.
 */
export async function suiteOfVersion(version: string): Promise<BuildSuite> {
  const there: string[] = [];
  for (const suite of buildSuites) {
    const fetched = (await fetchedPackages(fetchedFolder(suite).path)).find(({ name }) => name === 'optee-os');
    if (fetched !== undefined && isOf(version, fetched.version)) return suite;
  }
  for (const suite of buildSuites) {
    await using archive = await openArchive(suite, 'arm64');
    const [found] = await archive.describe(['optee-os']);
    if (found === undefined) continue;
    if (isOf(version, found.version)) return suite;
    there.push(`${found.version} (${suite})`);
  }
  throw new RangeError(
    `Debian has no OP-TEE ${version}; it has ${there.join(', ')}. optee build builds other versions`,
  );
}

/** `4.1` does not match 4.10. */
function isOf(version: string, found: string): boolean {
  return found === version || (found.startsWith(version) && /^[.+~-]/.test(found.slice(version.length)));
}
