import type { AgentCommand } from './agent-link.js';

/** A board reachable over ssh, and its TEE device. */
export interface SshBoard {
  readonly host: string;
  readonly user: string | undefined;
  readonly port: number | undefined;
  readonly device: string;
}

const scheme = 'ssh://';
const form = 'ssh://[user@]host[:port][/dev/tee0]';
/**
 * Patterns for names that have no special meaning to a shell, as options of ssh or in commands of its configuration: a
 * DNS name or an alias of the ssh configuration, an IPv4 address, or an IPv6 address in brackets.
 */
const names = {
  host: /^(?:[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9]+)?\])$/,
  user: /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/,
  device: /^\/[A-Za-z0-9_./-]+$/,
};

/** Whether the device is on another machine. */
export const isSshBoard = (device: string): boolean => device.startsWith(scheme);

/** @throws RangeError naming the invalid part. */
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

/** Interval of keep-alive messages, in seconds. A connection is lost after three without an answer. */
const aliveSeconds = 15;
/** Connection timeout, in seconds. */
const connectSeconds = 20;

/**
 * The command that starts the agent of a board.
 * @param remote the command that starts `normalworld` there, in the syntax of the board's shell.
 */
export function sshCommand({ host, user, port, device }: SshBoard, deviceCalls: number, remote: string): AgentCommand {
  const bare = host.replace(/^\[|\]$/g, '');
  const name = user === undefined ? bare : `${user}@${bare}`;
  return {
    program: 'ssh',
    args: [
      // No terminal, and no prompt that a test would wait for.
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
