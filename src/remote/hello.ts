import { z } from 'zod';
import type { RpmbRouting } from '../client/driver-of-tee.js';
import type { ClientIdentity } from '../tee/login.js';
import type { TeeVersion } from '../tee/tee-driver.js';

/** Counts what changed in what follows the hello: both sides must have the same. */
export const protocolVersion = 1;

/** The first line of an agent. What a shell prints before it (a greeting, a file of settings that speaks) is passed over. */
const mark = 'normalworld-agent ';
/** Bytes that are passed over at most. */
export const mostNoise = 64 * 1024;

export interface Hello {
  readonly protocol: number;
  /** Of the package. */
  readonly version: string;
  readonly tee: TeeVersion;
  /** Who the clients are. */
  readonly identity: ClientIdentity;
  readonly revision: string | undefined;
  readonly rpmbRouting: RpmbRouting | undefined;
}

const id = z.int().min(0).max(0xffff_ffff);
const whose = z.object({ protocol: z.int().min(0), version: z.string().max(100) });
const content = z.object({
  tee: z.object({ implementationId: z.int().min(0), registeredMemory: z.boolean(), memrefNull: z.boolean() }),
  identity: z.object({ uid: id, gid: id, groups: z.array(id).max(65_536) }),
  revision: z.string().max(100).optional(),
  rpmbRouting: z.enum(['kernel', 'user']).optional(),
});

export function helloLine(hello: Hello): string {
  return `${mark}${JSON.stringify(hello)}\n`;
}

/**
 * @param line without its end.
 * @returns undefined when it is not an agent's.
 * @throws Error when it is another version's, or what stands in it cannot be.
 */
export function parseHello(line: string): Hello | undefined {
  if (!line.startsWith(mark)) return undefined;
  let data: unknown;
  try {
    data = JSON.parse(line.slice(mark.length));
  } catch {
    throw new Error('its first line is not valid JSON');
  }
  const spoken = whose.safeParse(data);
  if (!spoken.success) throw new Error('its first line has no protocol version');
  const { protocol, version } = spoken.data;
  if (protocol !== protocolVersion)
    throw new Error(
      `it runs normalworld ${version} with protocol ${protocol}, this machine has protocol ${protocolVersion}: install the same version on both`,
    );
  const told = content.safeParse(data);
  if (!told.success) throw new Error(`its first line is invalid: ${z.prettifyError(told.error)}`);
  const { tee, identity, revision, rpmbRouting } = told.data;
  return { protocol, version, tee, identity, revision, rpmbRouting };
}
