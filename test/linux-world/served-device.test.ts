import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { type OpenTeeOptions, openTee, type Tee, trustedApplication } from '../../src/index.js';
import { clientCommand, hostArchitecture, preloadFolder, preloadLibrary } from '../../src/serve/client-command.js';
import { TeeServer } from '../../src/serve/tee-server.js';
import { Gate, pseudoTa, userTa } from '../support/applications.js';
import { opteeTestApplications } from '../support/optee-test-applications.js';
import { realOptions, whyNot } from '../worlds/qemu/real-optee.js';

const device = (number: number, when: 'always' | 'with-supplicant') =>
  trustedApplication({
    ...{ uuid: `33333333-0000-4000-8000-00000000000${number}`, kind: 'pseudo', device: when },
    create: () => ({ invokeCommand() {} }),
  });
const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
// As it is built from these sources; where it cannot be, what needs it is skipped.
spawnSync('make', ['-C', preloadFolder]);
const library = preloadLibrary(hostArchitecture);
const built = existsSync(library);

/** Node opens /dev/tee0, which the server offers it in the place of a kernel. */
describe.skipIf(!built)(`world "linux" on a device of ours${built ? '' : ` (skipped: no ${library})`}`, () => {
  let tee: Tee | undefined;
  let server: TeeServer | undefined;
  afterEach(async () => {
    await server?.[Symbol.asyncDispose]();
    await tee?.close();
    expect(tee?.sharedMemoryInUse ?? 0).toBe(0);
  });

  const serve = async (options: OpenTeeOptions) => {
    tee = await openTee(options);
    server = await TeeServer.listen(tee);
    return server;
  };
  /** @returns the exit code, and what it said. */
  const run = async ({ path: socket }: TeeServer, ...args: string[]) => {
    using command = await clientCommand(process.execPath, args, socket);
    const child = spawn(command.program, command.args, {
      env: { ...command.env, NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    const [code, signal] = await once(child, 'close');
    return { code: code ?? signal, said };
  };
  const suite = path('../behaviour/linux.test.js');

  it('passes the behaviour suite on the simulated world', async () => {
    const served = await serve({ memoryFile: true, trustedApplications: opteeTestApplications });
    const { code, said } = await run(served, '--test', '--test-reporter=tap', suite);
    expect(code, said).toBe(0);
    expect(said).toMatch(/^# pass 35$/m);
    expect(said).toMatch(/^# fail 0$/m);
  });

  it.skipIf(whyNot !== undefined)('passes it on the real OP-TEE', { timeout: 300_000 }, async () => {
    const served = await serve(realOptions());
    const { code, said } = await run(served, '--test', '--test-reporter=tap', suite);
    expect(code, said).toBe(0);
    expect(said).toMatch(/^# pass 35$/m);
  });

  const serveApplications = (gate: Gate) =>
    serve({
      memoryFile: true,
      simulated: { threads: 8 },
      trustedApplications: [userTa, pseudoTa, device(1, 'always'), device(2, 'with-supplicant')],
      supplicant: { services: gate.services },
    });

  it.each([
    ['cancels a call that is inside, and never makes one that waits for a thread', 'cancelled'],
    ['serves more calls at a time than it has threads', 'many'],
    ['gives up a call that hangs, says so, and ends', 'late'],
    ['ends the process though a call hangs', 'exits'],
    ['shares memory in place, and gives it back', 'memory'],
    ['has the devices of the bus as they come and go, and what sysfs tells', 'bus'],
    ["has the kernel's tracepoints in its trace", 'tracepoints'],
    ['says by name what is inside the kernel, and traces what it asks', 'inside'],
  ])('%s', async (_name, which) => {
    const gate = new Gate();
    const served = await serveApplications(gate);
    expect(await run(served, path('client.js'), which)).toEqual({ code: 0, said: '' });
    gate.open();
  });

  it.each([
    ['goes on beside calls that do not return, until they have all threads', 'bound'],
    ['makes calls side by side that were made in one go', 'together'],
  ])('%s', async (_name, which) => {
    const gate = new Gate();
    const served = await serveApplications(gate);
    // None comes back before three are inside.
    const open = () => {
      gate.open();
      void gate.reached(3).then(open);
    };
    void gate.reached(3).then(open);
    expect(await run(served, path('client.js'), which)).toEqual({ code: 0, said: '' });
  });
});

describe.skipIf(!built)('world "linux" on a kernel with TEE_IOC_SHM_REGISTER_FD', () => {
  it('shares the memory of a descriptor without mapping it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'normalworld-descriptor-'));
    const shim = join(folder, 'register-descriptor.so');
    execFileSync('cc', ['-shared', '-fPIC', '-O2', '-o', shim, path('register-descriptor.c'), '-ldl']);
    await using tee = await openTee({ memoryFile: true, trustedApplications: [userTa] });
    await using server = await TeeServer.listen(tee);
    using command = await clientCommand(process.execPath, [path('client.js'), 'descriptor'], server.path);
    const env = { ...command.env, NODE_OPTIONS: '', LD_PRELOAD: `${shim} ${command.env.LD_PRELOAD}` };
    const child = spawn(command.program, command.args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const [code] = await once(child, 'close');
    rmSync(folder, { recursive: true });
    expect([code, said]).toEqual([0, '']);
  });
});

describe('world "linux" without a device', () => {
  it.each([
    ['/dev/tee77', 'ENOENT', /CONFIG_OPTEE/],
    ['/dev/null', 'ENOTTY', /not a TEE device/],
  ])('says what is wrong with %s: %s, and what to do', async (device, errno, advice) => {
    const failing = openTee({ world: 'linux', device });
    await expect(failing).rejects.toThrow(errno);
    await expect(failing).rejects.toThrow(advice);
  });

  it.each([
    [{ world: 'linux', queue: 'linux-6.8' }, /queue/],
    [{ world: 'linux', taFolders: ['.'] }, /taFolders/],
    [{ world: 'linux', identity: { uid: 1, gid: 1, groups: [] } }, /identity/],
    [{ world: 'linux', deviceCalls: 0 }, /deviceCalls/],
    [{ world: 'linux', device: '' }, /device/],
    [{ world: 'linux', sysfs: '' }, /sysfs/],
    [{ world: 'linux', tracepoints: '' }, /tracepoints/],
    [{ world: 'linux', device: 'ssh://board', tracepoints: true }, /tracepoints are those of this machine/],
    [{ tracepoints: true }, /tracepoints is for world "linux"/],
    [{ device: '/dev/tee0' }, /device is for world "linux"/],
  ] as const)('refuses %j', async (options, words) => {
    await expect(openTee(options as OpenTeeOptions)).rejects.toThrow(words);
  });
});
