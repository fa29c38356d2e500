import { createHash } from 'node:crypto';
import { readRegularFileSync } from '../files/read-regular-file.js';
import { inThisProcess } from '../fuzz/open-target.js';
import { opteeNamed } from '../optee-build/built-optee.js';
import { packageVersion } from '../package-version.js';
import { opteeFolder } from '../worlds/qemu/optee-folder.js';
import type { CampaignJob } from './plan.js';

/** The image for a job on this machine. */
export async function jobImage({
  optee,
}: {
  readonly optee?: string | undefined;
}): Promise<{ readonly image: string; readonly trustedApplications: string }> {
  const found = await opteeNamed(optee);
  return { image: found.image, trustedApplications: found.trustedApplications ?? opteeFolder().trustedApplications };
}

/** The version of a campaign. Workers with another version are refused. */
export interface CampaignVersion {
  /** Version of this package and of the plan format. */
  readonly version: string;
  /** SHA-256 of each image that the jobs refer to, by name; empty if the image does not exist. */
  readonly images: Readonly<Record<string, string>>;
}

/** The version on this machine. */
export async function versionHere(names: readonly string[]): Promise<CampaignVersion> {
  const images = await Promise.all(
    names.map(async (name) => {
      const { image } = await jobImage(name === '' ? {} : { optee: name });
      try {
        return [name, createHash('sha256').update(readRegularFileSync(image)).digest('hex')] as const;
      } catch {
        return [name, ''] as const;
      }
    }),
  );
  return { version: packageVersion, images: Object.fromEntries(images) };
}

/** How this machine's version differs from the campaign's, as text; undefined if it does not. */
export function versionMistake(wanted: CampaignVersion, here: CampaignVersion): string | undefined {
  if (wanted.version !== here.version)
    return `the campaign uses normalworld ${wanted.version}, this is ${here.version}`;
  for (const [name, hash] of Object.entries(wanted.images))
    if (here.images[name] !== hash)
      return (
        `the campaign's image ${name === '' ? 'of the fetched OP-TEE' : `"${name}"`} has SHA-256 ${hash.slice(0, 16)}..., ` +
        `this machine's ${here.images[name] ? `has ${here.images[name]?.slice(0, 16)}...` : 'does not exist'}`
      );
  return undefined;
}

/** The images that jobs refer to. '' is the fetched image, which jobs that run in this process do not need. */
export function imageNames(jobs: readonly CampaignJob[]): readonly string[] {
  return [...new Set(jobs.flatMap((job) => imageOf(job) ?? []))].sort();
}

function imageOf(job: CampaignJob): string | undefined {
  if (job.kind === 'suite') return job.optee;
  return job.kind === 'fuzz' && !inThisProcess.has(job.target) ? (job.optee ?? '') : undefined;
}
