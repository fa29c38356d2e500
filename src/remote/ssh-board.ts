import type { AgentCommand } from './agent-link.js';

/** A board that ssh reaches, and the TEE device there. */
export interface SshBoard {
  readonly host: string;
  readonly user: string | undefined;
  readonly port: number | undefined;
  readonly device: string;
}

const scheme = 'ssh://';
const form = 'ssh://[user@]host[:port][/dev/tee0]';
/**
 * Names that mean nothing to a shell, to ssh's own options or to the commands of its settings: a name of DNS or of ssh's
 * settings, an address of IPv4, or of IPv6 in brackets.
 */
const names = {
  host: /^(?:[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9]+)?\])$/,
  user: /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/,
  device: /^\/[A-Za-z0-9_./-]+$/,
};

/** A device that is not of this machine. */
export const isSshBoard = (device: string): boolean => device.startsWith(scheme);

/** @throws RangeError naming what in it cannot be. */
export function parseSshBoard(text: string): SshBoard {
  const refuse = (what: string) => new RangeError(`${JSON.stringify(text)}: ${what}; the format is ${form}`);
  if (!isSshBoard(text)) throw refuse(`it does not begin with ${scheme}`);
  const [, authority = '', path = ''] = /^([^/]*)(.*)$/s.exec(text.slice(scheme.length)) ?? [];
  const at = authority.lastIndexOf('@');
  const user = at < 0 ? undefined : authority.slice(0, at);
  const place = authority.slice(at + 1);
  const [, host = place, digits] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(place) ?? [];
  if (host === '') throw refuse('the host name is missing');
  if (!names.host.test(host)) throw refuse(`${JSON.stringify(host)} is not a valid host name`);
  if (user !== undefined && !names.user.test(user)) throw refuse(`${JSON.stringify(user)} is not a valid user name`);
  const port = digits === undefined ? undefined : Number(digits);
  if (digits !== undefined && !(/^\d{1,5}$/.test(digits) && Number(digits) >= 1 && Number(digits) <= 65_535))
    throw refuse(`${JSON.stringify(digits)} is not a port number (1 to 65535)`);
  const device = path === '' || path === '/' ? '/dev/tee0' : path;
  if (!names.device.test(device)) throw refuse(`${JSON.stringify(device)} is not a valid device path`);
  return { host, user, port, device };
}

/** A connection that is dead is noticed after three of these, in seconds. */
const aliveSeconds = 15;
/** So long may a board take to answer at all, in seconds. */
const connectSeconds = 20;

/**
 * How the agent of a board is started.
 * @param remote what starts `normalworld` there, in words of the board's shell.
 */
export function sshCommand({ host, user, port, device }: SshBoard, deviceCalls: number, remote: string): AgentCommand {
  const bare = host.replace(/^\[|\]$/g, '');
  const name = user === undefined ? bare : `${user}@${bare}`;
  return {
    program: 'ssh',
    args: [
      // No terminal; no question that a test would hang at.
      ...['-T', '-o', 'BatchMode=yes', '-o', `ConnectTimeout=${connectSeconds}`],
      ...['-o', `ServerAliveInterval=${aliveSeconds}`, '-o', 'ServerAliveCountMax=3'],
      ...(port === undefined ? [] : ['-p', `${port}`]),
      ...['--', name, `${remote} serve --stdio --device ${device} --device-calls ${deviceCalls}`],
    ],
    whose: name,
    missing: 'the program ssh is not installed: apt-get install openssh-client',
    explain: (code, signal, said, isUp) => {
      const how = `${isUp ? 'the connection was lost' : 'the agent did not start'}: ${why(code, signal, said, name, remote)}`;
      return said === '' ? how : `${how}: ${said}`;
    },
  };
}

function why(code: number | null, signal: string | null, said: string, name: string, remote: string): string {
  if (code === null) return `ssh was ended by ${signal}`;
  if (code === 255) {
    if (/host key verification failed/i.test(said))
      return `the board's host key is unknown or has changed (check it with: ssh ${name})`;
    if (/permission denied/i.test(said))
      return `the board refused the login; ssh runs without a password prompt, so the board must accept a key (ssh-copy-id ${name})`;
    return 'ssh exited with code 255';
  }
  if (code === 127)
    return `the board has no command "${remote}": install the package there (npm install --global), or set NORMALWORLD_REMOTE to the command that starts it`;
  if (/unknown option '--(stdio|device|device-calls)'/.test(said))
    return 'the normalworld of the board is older than this one and has no agent: install the same version on both';
  return `"${remote} serve --stdio" exited with code ${code}`;
}
