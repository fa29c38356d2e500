import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type OpenTeeOptions, openTee, type Tee, temporary, value } from '../../src/index.js';
import { TeeOrigin, TeeResult } from '../../src/protocol/tee-result.js';
import { clientCommand, hostArchitecture, preloadFolder, preloadLibrary } from '../../src/serve/client-command.js';
import { TeeServer } from '../../src/serve/tee-server.js';
import { simulatedTaImage } from '../../src/testing.js';
import { opteeFolder } from '../../src/worlds/qemu/optee-folder.js';
import { Command, pseudoTa, userTa } from '../support/applications.js';
import { happened } from '../support/happened.js';
import { realOptions, whyNot } from '../worlds/qemu/real-optee.js';

const main = resolve(import.meta.dirname, '../../dist/cli/main.js');
// As it is built from these sources; where it cannot be, what needs it is skipped.
spawnSync('make', ['-C', preloadFolder]);
const library = preloadLibrary(hostArchitecture);
const built = existsSync(library);
const storageTa = 'b689f2a7-8adf-477a-9f99-32e90c0ad0a2';

/** `normalworld supplicant` opens /dev/teepriv0, which the server offers it in the place of a kernel. */
describe.skipIf(!built)(`normalworld supplicant on a device of ours${built ? '' : ` (skipped: no ${library})`}`, () => {
  let scratch: string;
  let tee: Tee;
  let server: TeeServer;
  const children: ChildProcess[] = [];

  beforeEach(() => {
    scratch = mkdtempSync(join(tmpdir(), 'normalworld-'));
  });
  afterEach(async () => {
    for (const child of children.splice(0))
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'close');
      }
    await server[Symbol.asyncDispose]();
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
    rmSync(scratch, { recursive: true });
  });

  const serve = async (options: OpenTeeOptions) => {
    tee = await openTee({ ...options, supplicant: false });
    server = await TeeServer.listen(tee);
  };
  /** @returns a supplicant that is ready, or its exit code with what it said. */
  const start = async (...args: string[]) => {
    using command = await clientCommand(process.execPath, [main, 'supplicant', ...args], server.path);
    const child = spawn(command.program, command.args, { env: command.env, stdio: ['ignore', 'pipe', 'pipe'] });
    children.push(child);
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const ready = once(createInterface({ input: child.stdout }), 'line').then(([line]) => String(line));
    const ended = once(child, 'close').then(([code]) => `${code}: ${said}`);
    return { child, ended, ready: await Promise.race([ready, ended]) };
  };
  const isReady = 'the supplicant of /dev/teepriv0 is ready';

  it('loads trusted applications, sequentially and concurrently, and exits on request', async () => {
    await serve({ memoryFile: true, trustedApplications: [userTa, pseudoTa] });
    mkdirSync(join(scratch, 'ta'));
    writeFileSync(join(scratch, 'ta', `${userTa.uuid}.ta`), simulatedTaImage(userTa));
    const { child, ended, ready } = await start('--ta', join(scratch, 'ta'), '--verbose');
    expect(ready).toBe(isReady);
    const context = tee.openContext();
    const sessions = await Promise.all(Array.from({ length: 6 }, () => context.openSession(userTa.uuid)));
    const sums = await Promise.all(sessions.map((session, a) => session.invoke(Command.add, [value.inout(a, 1)])));
    expect(sums.map(([{ a }]) => a)).toEqual([1, 2, 3, 4, 5, 6]);
    await expect(context.openSession('01234567-89ab-cdef-0123-456789abcdef')).rejects.toMatchObject({
      ...{ code: TeeResult.ERROR_ITEM_NOT_FOUND, origin: TeeOrigin.TEE },
    });
    child.kill('SIGTERM');
    expect(await ended).toMatch(/^0: /);
  });

  it('is exclusive, and its death fails its requests', async () => {
    await serve({ memoryFile: true, trustedApplications: [pseudoTa] });
    const plugin = join(scratch, 'plugin.mjs');
    writeFileSync(
      plugin,
      `export default { uuid: '${pseudoTa.uuid}', invoke: () => new Promise((resolve) => setInterval(() => {}, 1000)) };`,
    );
    const first = await start('--plugin', plugin);
    expect(first.ready).toBe(isReady);
    const second = await start();
    expect(second.ready).toMatch(/^1: normalworld: opening \/dev\/teepriv0: EBUSY \(another supplicant has it open/);
    const session = await tee.openContext().openSession(pseudoTa.uuid);
    // It has one parameter, which no plugin takes.
    await expect(session.invoke(Command.ask)).rejects.toMatchObject({ code: TeeResult.ERROR_BAD_PARAMETERS });
    first.child.kill('SIGKILL');
    await first.ended;
    const asked = happened(tee, ({ type }) => type === 'rpc-begin');
    // What it is asked then ends: it went with the first, or the next has an answer.
    const ended = session.invoke(Command.ask).catch(({ code }) => code);
    await asked;
    const third = await start();
    expect(third.ready).toBe(isReady);
    expect([TeeResult.ERROR_COMMUNICATION, TeeResult.ERROR_BAD_PARAMETERS]).toContain(await ended);
  });

  it('answers for a service that leaves what is no number, and serves the next request', async () => {
    await serve({ memoryFile: true, trustedApplications: [pseudoTa] });
    const script = join(scratch, 'supplicant.mjs');
    const index = resolve(import.meta.dirname, '../../dist/index.js');
    const leaves = '[Number.NaN, 0.5, -1, 0]';
    writeFileSync(
      script,
      `import { openLinuxSupplicant, RpcCommand } from ${JSON.stringify(index)};
       const left = ${leaves};
       const service = ([param]) => { param.a = left.shift(); return 0; };
       const onTrouble = (trouble) => console.error(trouble);
       openLinuxSupplicant({ services: new Map([[RpcCommand.plugin, service]]), onTrouble });
       console.log('ready');
       setInterval(() => {}, 1000);`,
    );
    using command = await clientCommand(process.execPath, [script], server.path);
    const child = spawn(command.program, command.args, { env: command.env, stdio: ['ignore', 'pipe', 'pipe'] });
    children.push(child);
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await once(createInterface({ input: child.stdout }), 'line');
    const session = await tee.openContext().openSession(pseudoTa.uuid);
    for (let wrong = 0; wrong < 3; wrong++)
      await expect(session.invoke(Command.ask)).rejects.toMatchObject({ code: TeeResult.ERROR_COMMUNICATION });
    await session.invoke(Command.ask);
    expect(said).toMatch(/parameter 0 has NaN, 0, 0.*parameter 0 has 0\.5, 0, 0.*parameter 0 has -1, 0, 0/s);
  });

  it('refuses invalid arguments', async () => {
    await serve({ memoryFile: true, trustedApplications: [pseudoTa] });
    expect((await start('--device', '/dev/tee0')).ready).toMatch(/^1: .*device for clients/);
    expect((await start('--storage-read-only')).ready).toMatch(/^2: /);
    expect((await start('--plugin', join(scratch, 'none.js'))).ready).toMatch(/^1: .*none\.js/);
  });

  it.skipIf(whyNot !== undefined)('keeps the secure storage of the real OP-TEE in its folder', async () => {
    await serve(realOptions());
    const storage = join(scratch, 'tee');
    const { ready } = await start('--ta', opteeFolder().trustedApplications, '--storage', storage);
    expect(ready).toBe(isReady);
    const session = await tee.openContext().openSession(storageTa);
    const id = Buffer.from('a name');
    const [privateFiles, allFlags] = [0x8000_0000, 0x1 | 0x2 | 0x4 | 0x400];
    const content = Buffer.from('kept by a supplicant of its own');
    const [, { b: object }] = await session.invoke(4, [
      temporary.input(id),
      value.inout(allFlags),
      value.input(0, privateFiles),
      temporary.input(content),
    ]);
    await session.invoke(1, [value.input(object)]);
    expect(readdirSync(storage).length).toBeGreaterThan(0);
    await session.close();
  });
});
