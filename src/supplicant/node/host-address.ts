import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { show } from '../../show.js';
import { type SocketAddress, SocketResult, socketError } from '../socket-service.js';

/**
 * Check that the IP version allows a host, by the rules of getaddrinfo(3): an empty name is refused, and so is an
 * address of the other version.
 * @throws TeecError ERROR_HOSTNAME
 */
export function checkHost({ host, ipVersion }: Pick<SocketAddress, 'host' | 'ipVersion'>): void {
  if (host === '') throw socketError(SocketResult.ERROR_HOSTNAME, 'an empty host name');
  const version = isIP(host);
  if (version !== 0 && ipVersion !== 0 && version !== ipVersion)
    throw socketError(SocketResult.ERROR_HOSTNAME, `${host} is not an address of IP version ${ipVersion}`);
}

/** @throws TeecError ERROR_HOSTNAME */
export async function resolveHost(
  host: string,
  ipVersion: 0 | 4 | 6,
): Promise<{ readonly address: string; readonly family: 4 | 6 }> {
  checkHost({ host, ipVersion });
  try {
    const { address, family } = await lookup(host, { family: ipVersion });
    return { address, family: family === 6 ? 6 : 4 };
  } catch (error) {
    throw socketError(SocketResult.ERROR_HOSTNAME, `${host}: ${show(error)}`);
  }
}
