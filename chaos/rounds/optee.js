import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTee, startSupplicant, TeeResult, temporary, value } from '../../dist/index.js';
import { FolderFileSystem } from '../../dist/supplicant/node/folder-file-system.js';
import { FolderTaStore } from '../../dist/supplicant/node/folder-ta-store.js';
import { nodeSockets } from '../../dist/supplicant/node/node-sockets.js';
import { opteeFolder } from '../../dist/worlds/qemu/optee-folder.js';
import { pluginUuid } from '../applications.js';
import { echoServer } from '../faults/echo-server.js';
import { failingPlugin, failingSockets } from '../faults/supplicant.js';
import { openBelow } from '../invariants.js';

// OP-TEE's own test applications (optee_test, ta/).
const invokeTests = 'd96a5b40-c3e5-21e3-8794-1002a5d5c61b';
const crypt = 'cb3e5ba0-adf1-11e0-998b-0002a5d5c51b';
const osTest = '5b9e0e40-2636-11e1-ad9e-0002a5d5c51b';
const storage = 'b689f2a7-8adf-477a-9f99-32e90c0ad0a2';
const sockets = '873bcd08-c2c3-11e6-a937-d0bf9c45c61c';
const reeStorage = 0x8000_0000;
const limitMs = 60_000;

/** A round on the real OP-TEE, which sometimes ends with the death of QEMU. */
export async function opteeRound({ draws, findings }) {
  const tee = await openTee({
    world: 'qemu',
    supplicant: false,
    // Booting is slow on a loaded machine.
    qemu: { callLimitMs: limitMs, bootLimitMs: 2 * limitMs },
  });
  const folder = mkdtempSync(join(tmpdir(), 'storage-'));
  const echo = await echoServer(draws.fork());
  const fileSystem = new FolderFileSystem(folder);
  let killed = false;
  let over = false;
  const own = draws.fork();
  const faults = (share) => ({ share, onFault: (what) => findings.count(`faults: ${what}`) });
  const images = [new FolderTaStore(opteeFolder().trustedApplications)];
  const calm = () => ({ taStores: images, fileSystem, onError: () => {} });
  const wild = () => ({
    taStores: images,
    // OP-TEE 4.5.0 panics if a file of its storage fails, or its supplicant exits, during an operation: a known defect
    // of OP-TEE, so no such faults here.
    fileSystem,
    sockets: failingSockets(nodeSockets, own, faults(0.05)),
    plugins: [failingPlugin(pluginUuid, own)],
    onError: () => findings.count('failures that were told'),
  });
  let supplicant = startSupplicant(tee, calm());
  try {
    const context = tee.openContext({ label: 'witness' });
    const pta = await context.openSession(invokeTests);
    const hash = await context.openSession(crypt);
    await supplicant[Symbol.asyncDispose]();
    supplicant = startSupplicant(tee, wild());
    const wanted = [
      witness(),
      ...Array.from({ length: 2 + draws.upTo(2) }, (_, number) => actor(draws.fork(), number)),
    ];
    const death = draws.chance(0.3) ? setTimeout(killQemu, 500 + draws.upTo(4000)) : undefined;
    const end = setTimeout(() => {
      over = true;
    }, 2000 + draws.upTo(4000));
    const ended = await findings.inTime('what the actors do on OP-TEE', limitMs, Promise.all(wanted), () =>
      JSON.stringify(tee.waiting()),
    );
    clearTimeout(death);
    clearTimeout(end);
    over = true;
    if (!ended || killed) return;
    await supplicant[Symbol.asyncDispose]();
    supplicant = startSupplicant(tee, calm());
    await check(pta, hash);
    await context.close();
    // OP-TEE keeps the directory file of its objects open while one of them is in use; no clients are left here.
    const open = openBelow(folder).filter((path) => !path.endsWith('/dirf.db'));
    findings.check(open.length === 1, () => `files of OP-TEE are open that nobody uses: ${open.join(', ')}`);

    async function witness() {
      while (!over && !killed) {
        try {
          await check(pta, hash);
        } catch (error) {
          if (!killed) findings.add(`a call of the witness failed: ${error.stack}`);
          return;
        }
      }
    }
  } finally {
    over = true;
    await findings.inTime(
      'closing OP-TEE',
      limitMs,
      tee.close().catch((error) => findings.check(killed, () => `closing OP-TEE failed: ${error.stack}`)),
    );
    findings.check(
      killed || tee.sharedMemoryInUse === 0,
      () => `${tee.sharedMemoryInUse} bytes of shared memory are in use after OP-TEE was closed`,
    );
    await echo.close();
    rmSync(folder, { recursive: true, force: true });
  }

  async function check(pta, hash) {
    const [a, b] = [draws.upTo(2 ** 31), draws.upTo(2 ** 31)];
    const [sum] = await pta.invoke(1, [value.inout(a, b)]);
    findings.check(sum.a === (a + b) >>> 0, () => `OP-TEE says ${a} + ${b} = ${sum.a}`);
    const data = draws.bytes(1 + draws.upTo(5000));
    const [, digest] = await hash.invoke(2, [temporary.input(data), temporary.output(32)]);
    findings.check(
      createHash('sha256').update(data).digest().equals(digest),
      `OP-TEE's digest of ${data.length} bytes is wrong`,
    );
    findings.count('sums and digests of OP-TEE');
  }

  async function actor(draws, number) {
    while (!over && !killed) {
      const context = tee.openContext({ label: `actor ${number}` });
      try {
        await draws.of([store, exchange, wait, refuse])(context, draws, number);
        if (draws.chance(0.3)) {
          findings.count('clients killed');
          await context
            .kill()
            .catch((error) => findings.check(killed, () => `a client's death failed: ${error.stack}`));
        }
      } finally {
        await context.close().catch((error) => findings.check(killed, () => `closing a client failed: ${error.stack}`));
      }
    }
  }

  /** Create an object and read it back. */
  async function store(context, draws, number) {
    const { result: session } = await findings.mayFail('open storage', () => context.openSession(storage));
    if (session === undefined) return;
    const name = new TextEncoder().encode(`${number}-${draws.upTo(3)}`);
    const content = draws.bytes(1 + draws.upTo(500));
    const overwrite = 0x400 | 7;
    const { result } = await findings.mayFail('create object', () =>
      session.invoke(4, [
        temporary.input(name),
        value.inout(overwrite, 0),
        value.input(0, reeStorage),
        temporary.input(content),
      ]),
    );
    if (result === undefined) return;
    const object = result[1].b;
    await findings.mayFail('close object', () => session.invoke(1, [value.input(object, 0)]));
    const { result: opened } = await findings.mayFail('open object', () =>
      session.invoke(0, [temporary.input(name), value.inout(1, 0), value.input(reeStorage, 0)]),
    );
    if (opened === undefined) return;
    const { result: read } = await findings.mayFail('read object', () =>
      session.invoke(2, [temporary.output(600), value.inout(opened[1].b, 0)]),
    );
    if (read === undefined) return;
    const same = Buffer.from(read[0].subarray(0, read[1].b)).equals(Buffer.from(content));
    findings.check(same, 'an object of secure storage reads otherwise than it was written');
  }

  async function exchange(context, draws) {
    const { result: session } = await findings.mayFail('open sockets', () => context.openSession(sockets));
    if (session === undefined) return;
    const host = draws.of(['127.0.0.1', '', '::1', 'no such host.invalid']);
    const port = draws.of([echo.tcpPort, echo.udpPort, 0, 1]);
    await findings.mayFail('socket', () =>
      session.invoke(draws.upTo(2), [
        value.input(draws.upTo(3), port),
        temporary.input(new TextEncoder().encode(`${host}\0`)),
        temporary.output(64),
        value.output(),
      ]),
    );
  }

  async function wait(context, draws) {
    const { result: session } = await findings.mayFail('open os_test', () => context.openSession(osTest));
    if (session === undefined) return;
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), draws.upTo(20));
    await findings.mayFail('wait', () =>
      session.invoke(9, [value.input(draws.upTo(30))], { signal: controller.signal }),
    );
    clearTimeout(timer);
  }

  async function refuse(context) {
    const { result: session } = await findings.mayFail('open pta', () => context.openSession(invokeTests));
    const { error } = (session && (await findings.mayFail('refusal', () => session.invoke(99)))) ?? {};
    findings.check(
      session === undefined || killed || error?.code === TeeResult.ERROR_BAD_PARAMETERS,
      () => `a command that there is none of: ${error}`,
    );
  }

  function killQemu() {
    killed = true;
    findings.count('QEMUs killed');
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
    for (const pid of children) if (pid !== '') process.kill(Number(pid), 'SIGKILL');
  }
}
