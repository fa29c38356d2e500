/**
 * In the place of ssh: runs the command in a shell of this machine, through pipes of its own as ssh has them. FAKE_SSH_LOG is
 * told its arguments and process number, FAKE_SSH_ENV has what the environment of the board's shell has besides (JSON).
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';

const args = process.argv.slice(2);
writeFileSync(process.env.FAKE_SSH_LOG, JSON.stringify({ pid: process.pid, args }));
const [name = '', command] = args.slice(args.indexOf('--') + 1);
const host = name.replace(/^.*@/, '');
const say = (text) => process.stderr.write(`${text}\n`);
const ends = {
  'unknown-key': () => {
    say('No ED25519 host key is known for unknown-key and you have requested strict checking.');
    say('Host key verification failed.');
    process.exitCode = 255;
  },
  'no-key': () => {
    say('root@no-key: Permission denied (publickey).');
    process.exitCode = 255;
  },
  nowhere: () => {
    say('ssh: Could not resolve hostname nowhere: Name or service not known');
    process.exitCode = 255;
  },
  older: () => {
    process.stdout.write('normalworld-agent {"protocol":0,"version":"0.0.9"}\n');
    process.stdin.resume();
  },
  oldest: () => {
    say("error: unknown option '--stdio'");
    process.exitCode = 2;
  },
  babbling: () => {
    process.stdout.write('y\n'.repeat(100_000));
    process.stdin.resume();
  },
  silent: () => {
    process.stdin.resume();
  },
  lying: () => {
    const tee = { implementationId: 1, registeredMemory: true, memrefNull: true };
    const identity = { uid: 0, gid: 0, groups: [] };
    process.stdout.write(`normalworld-agent ${JSON.stringify({ protocol: 1, version: '0.1.0', tee, identity })}\n`);
    process.stdin.once('data', () => process.stdout.write('something else that is no frame of the protocol'));
  },
};
if (Object.hasOwn(ends, host)) ends[host]();
else {
  // What a file of settings of the shell prints comes first.
  if (host === 'greeting') process.stdout.write('Welcome to the board!\r\n\nLast login: today\n');
  const env = { ...process.env, ...JSON.parse(process.env.FAKE_SSH_ENV ?? '{}') };
  const child = spawn('sh', ['-c', command], { stdio: ['pipe', 'pipe', 'inherit'], env });
  process.stdin.pipe(child.stdin);
  child.stdout.pipe(process.stdout);
  child.stdin.on('error', () => undefined);
  child.on('close', (code) => {
    process.exit(code ?? 255);
  });
}
