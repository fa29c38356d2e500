import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/clock/random.js';
import { openTee, type Tee, temporary, value } from '../../src/index.js';
import { clientCommand } from '../../src/serve/client-command.js';
import { TeeServer } from '../../src/serve/tee-server.js';
import { userTa } from '../support/applications.js';
import { onRealOptee, whyNot } from '../worlds/qemu/real-optee.js';

/** NORMALWORLD_KILLS: how many clients die; NORMALWORLD_SEED: when. */
const kills = Number(process.env.NORMALWORLD_KILLS ?? 24);
const seed = Number(process.env.NORMALWORLD_SEED ?? Date.now() % 0x1_0000_0000);
const clients = 8;

const source = fileURLToPath(new URL('client.c', import.meta.url));
const preload = fileURLToPath(new URL('../../preload/', import.meta.url));
const missing = ['make', 'cc'].filter((name) => spawnSync(name, ['--version']).status !== 0);
const why = missing.length === 0 ? '' : ` (skipped: no ${missing.join(', no ')}; apt-get install make gcc libc6-dev)`;

/** OP-TEE's PTA for its own tests: it is always there, and one for all sessions. */
const invokeTestsPta = 'd96a5b40-c3e5-21e3-8794-1002a5d5c61b';

describe.skipIf(missing.length > 0)(`${clients} clients of which ${kills} die (NORMALWORLD_SEED=${seed})${why}`, () => {
  let scratch: string;
  let program: string;
  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), 'normalworld-'));
    program = join(scratch, 'client');
    expect(spawnSync('make', ['-C', preload], { encoding: 'utf8' }).stderr).toBe('');
    expect(spawnSync('cc', ['-O1', '-pthread', '-o', program, source], { encoding: 'utf8' }).stderr).toBe('');
  });
  afterAll(() => rmSync(scratch, { recursive: true }));

  /** Runs clients one after the other in so many places at once; each is killed after some of its operations. */
  async function stress(server: TeeServer, uuid: string, round = 1): Promise<number> {
    const random = seededRandom(seed + round);
    let left = kills;
    let operations = 0;
    const place = async () => {
      while (left-- > 0) {
        const [clientSeed, last] = [random(), random()].map((each) => Math.floor(each * 0xffff)) as [number, number];
        const args = ['stress', String(clientSeed), uuid.replaceAll('-', '')];
        using command = await clientCommand(program, args, server.path);
        const child = spawn(command.program, command.args, { env: command.env, stdio: ['ignore', 'pipe', 'pipe'] });
        const closed = once(child, 'close');
        let said = '';
        let done = 0;
        child.stderr.setEncoding('utf8').on('data', (text: string) => {
          said += text;
        });
        child.stdout.on('data', (bytes: Buffer) => {
          done += bytes.length;
          // In the middle of whatever it does then.
          if (done > last % 60) child.kill('SIGKILL');
        });
        expect([...(await closed), said]).toEqual([null, 'SIGKILL', '']);
        operations += done;
      }
    };
    await Promise.all(Array.from({ length: clients }, place));
    while (server.openFiles > 0) await new Promise((resolve) => setImmediate(resolve));
    return operations;
  }

  it('leave a simulated world unchanged', { timeout: 60_000 + kills * 1000 }, async () => {
    await using tee = await openTee({ memoryFile: true, trustedApplications: [userTa] });
    await using server = await TeeServer.listen(tee);
    expect(await stress(server, userTa.uuid)).toBeGreaterThan(kills);
    await unharmed(tee, userTa.uuid);
  });

  it.skipIf(whyNot !== undefined)(
    onRealOptee('leave OP-TEE as it was'),
    { timeout: 60_000 + kills * 1000 },
    async () => {
      await using tee = await openTee({ world: 'qemu' });
      await using server = await TeeServer.listen(tee);
      // The first round fills what OP-TEE keeps, the calls at once what the driver keeps; the second round must need no more.
      await stress(server, invokeTestsPta, 1);
      await openAtOnce(tee, invokeTestsPta, 8 * clients);
      const before = [await coreHeapInUse(tee), tee.sharedMemoryInUse];
      expect(await stress(server, invokeTestsPta, 2)).toBeGreaterThan(kills);
      expect([await coreHeapInUse(tee), tee.sharedMemoryInUse]).toEqual(before);
      await unharmed(tee, invokeTestsPta);
    },
  );
});

/** Bytes of its heap that OP-TEE's core uses, by its own count: pta_stats.h, STATS_CMD_ALLOC_STATS of ALLOC_ID_HEAP. */
async function coreHeapInUse(tee: Tee): Promise<number> {
  await using context = tee.openContext();
  await using session = await context.openSession('d96a5b40-e2c7-b1af-8794-1002a5d5c61b');
  const [, stats] = await session.invoke(1, [value.input(1, 0), temporary.output(64)]);
  return new DataView(stats.buffer, stats.byteOffset).getUint32(40, true);
}

/** More calls at once than clients, and the sessions of dead ones, ever make: the driver keeps a message for each. */
async function openAtOnce(tee: Tee, uuid: string, count: number): Promise<void> {
  await using context = tee.openContext();
  const sessions = await Promise.all(Array.from({ length: count }, () => context.openSession(uuid)));
  for (const session of sessions) await session.close();
}

/** Memory is where it was before, and sessions still open. */
async function unharmed(tee: Tee, uuid: string): Promise<void> {
  const context = tee.openContext();
  const inUse = tee.sharedMemoryInUse;
  await (await context.openSession(uuid)).close();
  // What one session needs: messages that the driver keeps.
  expect(inUse).toBeLessThanOrEqual(16 * 4096);
  await context.close();
}
