import { createHash } from 'node:crypto';
import { readRegularFileSync } from '../files/read-regular-file.js';
import { inThisProcess } from '../fuzz/open-target.js';
import { opteeNamed } from '../optee-build/built-optee.js';
import { packageVersion } from '../package-version.js';
import { opteeFolder } from '../worlds/qemu/optee-folder.js';
import type { CampaignJob } from './plan.js';

/** The OP-TEE of a job, as this machine has it. */
export async function jobImage({
  optee,
}: {
  readonly optee?: string | undefined;
}): Promise<{ readonly image: string; readonly trustedApplications: string }> {
  const found = await opteeNamed(optee);
  return { image: found.image, trustedApplications: found.trustedApplications ?? opteeFolder().trustedApplications };
}

/** What a campaign is of: who has another is refused. */
export interface CampaignVersion {
  /** Of this package, and of what stands in a plan. */
  readonly version: string;
  /** SHA-256 of each image that jobs name, by name; empty for one that is not there. */
  readonly images: Readonly<Record<string, string>>;
}

/** Of what this machine has. */
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

/** What this machine has otherwise than the campaign, in words; undefined when nothing. */
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

/** The images that jobs name; '' is the fetched one, which jobs in this process do without. */
export function imageNames(jobs: readonly CampaignJob[]): readonly string[] {
  return [...new Set(jobs.flatMap((job) => imageOf(job) ?? []))].sort();
}

function imageOf(job: CampaignJob): string | undefined {
  if (job.kind === 'suite') return job.optee;
  return job.kind === 'fuzz' && !inThisProcess.has(job.target) ? (job.optee ?? '') : undefined;
}
