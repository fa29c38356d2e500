import { z } from 'zod';
import type { RpmbRouting } from '../client/driver-of-tee.js';
import type { ClientIdentity } from '../tee/login.js';
import type { TeeVersion } from '../tee/tee-driver.js';

/** Version of the protocol. Both sides must have the same. */
export const protocolVersion = 1;

/** Beginning of an agent's first line. Output of the shell before it, such as a greeting, is skipped. */
const mark = 'normalworld-agent ';
/** Largest number of bytes skipped. */
export const mostNoise = 64 * 1024;

export interface Hello {
  readonly protocol: number;
  /** Version of the package. */
  readonly version: string;
  readonly tee: TeeVersion;
  /** Identity of the clients. */
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
 * @param line without its line end.
 * @returns undefined if the line is not from an agent.
 * @throws Error if it is from another protocol version, or invalid.
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
