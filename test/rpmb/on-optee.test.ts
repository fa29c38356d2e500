import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/clock/random.js';
import {
  type OpenTeeOptions,
  openTee,
  type Session,
  type Tee,
  type TeecError,
  temporary,
  value,
} from '../../src/index.js';
import { builtOptee } from '../../src/optee-build/built-optee.js';
import { RpmbRequest, RpmbResult } from '../../src/protocol/rpmb.js';
import { TeeResult } from '../../src/protocol/tee-result.js';
import {
  EmmcFile,
  EmulatedEmmc,
  hmacSha256,
  type RpmbDevice,
  type RpmbFault,
  rpmbTestKey,
} from '../../src/rpmb/index.js';
import { whyNot } from '../worlds/qemu/real-optee.js';

/** ta/storage of OP-TEE/optee_test. */
const storageTa = 'b689f2a7-8adf-477a-9f99-32e90c0ad0a2';
const Command = { open: 0, close: 1, read: 2, create: 4, unlink: 6 } as const;
const storage = { ree: 0x8000_0000, rpmb: 0x8000_0100 } as const;
const flags = 0x1 | 0x2 | 0x4;
const overwrite = 0x400;

const builds = [
  { route: 'supplicant', name: 'sid-rpmb', how: '--rpmb' },
  {
    route: 'kernel',
    name: 'sid-rpmb-scmi-threads4-RPMB_WRITE_KEY=n',
    how: '--rpmb --scmi --threads 4 --set CFG_RPMB_WRITE_KEY=n',
  },
] as const;

for (const { route, name, how } of builds) {
  const built = await builtOptee(name);
  const missing = whyNot ?? (built === undefined ? `normalworld optee build ${how}` : undefined);
  const title = `RPMB of the real OP-TEE, routed by the ${route}`;
  describe.skipIf(missing !== undefined)(missing === undefined ? title : `${title} (skipped: ${missing})`, () => {
    // Whoever does not write the key wants to find it.
    const key = route === 'kernel' ? { key: rpmbTestKey } : {};
    let folder: string;
    let tee: Tee;
    let session: Session;
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'normalworld-rpmb-'));
    });
    afterEach(async () => {
      await tee.close();
      rmSync(folder, { recursive: true });
    });

    async function boot(options: OpenTeeOptions): Promise<void> {
      if (built === undefined) throw new Error('not built');
      const { image, trustedApplications } = built.folder;
      tee = await openTee({
        ...{ world: 'qemu', qemu: { optee: image, callLimitMs: 120_000 }, taFolders: [trustedApplications] },
        ...options,
      });
    }
    async function open(options: OpenTeeOptions): Promise<void> {
      await boot(options);
      session = await tee.openContext().openSession(storageTa);
    }
    const withCard = (card: RpmbDevice): OpenTeeOptions => ({ rpmb: [card], supplicant: { rpmb: [card] } });
    const inFiles = (): OpenTeeOptions => ({
      storageFolder: join(folder, 'storage'),
      emmc: { file: join(folder, 'card'), sizeMultiplier: 8, ...key },
    });
    const nameOf = (object: string) => temporary.input(new TextEncoder().encode(object));
    async function create(object: string, size: number, where: number = storage.rpmb): Promise<number> {
      const content = temporary.input(new Uint8Array(size).fill(object.length));
      const [, { b: handle }] = await session.invoke(Command.create, [
        ...([nameOf(object), value.inout(flags | overwrite), value.input(0, where), content] as const),
      ]);
      return handle;
    }
    const close = (handle: number) => session.invoke(Command.close, [value.input(handle)]);
    async function sizeOf(object: string, where: number = storage.rpmb): Promise<number> {
      const [, { b: handle }] = await session.invoke(Command.open, [
        ...([nameOf(object), value.inout(flags), value.input(where)] as const),
      ]);
      const [, { b: size }] = await session.invoke(Command.read, [temporary.output(4096), value.inout(handle)]);
      await close(handle);
      return size;
    }

    it('programs its key into the card, and has its objects after a restart of both', async () => {
      await open(inFiles());
      await close(await create('kept', 1000));
      await close(await create('kept as well', 500, storage.ree));
      await tee.close();
      await open(inFiles());
      expect([await sizeOf('kept'), await sizeOf('kept as well', storage.ree)]).toEqual([1000, 500]);
      await tee.close();
      using card = EmmcFile.open(join(folder, 'card'));
      expect(card).toMatchObject({ hasKey: true, blockCount: 4096 });
    });

    it('treats files that do not match its card as an attack', async () => {
      await open(inFiles());
      await close(await create('one', 10, storage.ree));
      await tee.close();
      rmSync(join(folder, 'storage'), { recursive: true });
      await boot(inFiles());
      await expect(tee.openContext().openSession(storageTa)).rejects.toMatchObject({ code: TeeResult.ERROR_SECURITY });
    });

    it('does not use a card with the key of another', async () => {
      await boot(withCard(new EmulatedEmmc({ hmac: hmacSha256, key: new Uint8Array(32).fill(1) })));
      // The kernel's way goes on to the next device, and there is none.
      const code = route === 'kernel' ? TeeResult.ERROR_ITEM_NOT_FOUND : TeeResult.ERROR_SECURITY;
      await expect(tee.openContext().openSession(storageTa)).rejects.toMatchObject({ code });
    });

    it('is not available without a card, and no application is loaded', async () => {
      await boot({ emmc: false });
      const code = TeeResult.ERROR_ITEM_NOT_FOUND;
      await expect(tee.openContext().openSession(storageTa)).rejects.toMatchObject({ code });
    });

    it('reports that the card is full, and continues when there is room again', async () => {
      await open(withCard(new EmulatedEmmc({ hmac: hmacSha256, ...key })));
      const handles: number[] = [];
      let full: TeecError | undefined;
      while (full === undefined && handles.length < 40)
        await create(`object ${handles.length}`, 16_000).then(
          (handle) => handles.push(handle),
          (error: TeecError) => {
            full = error;
          },
        );
      expect(full).toMatchObject({ code: TeeResult.ERROR_STORAGE_NO_SPACE });
      // 128 KiB hold seven of them, and the table of files.
      expect(handles.length).toBeGreaterThanOrEqual(5);
      expect(handles.length).toBeLessThanOrEqual(8);
      const [first = 0] = handles;
      await session.invoke(Command.unlink, [value.input(first)]);
      await close(await create('again', 12_000));
      expect(await sizeOf('again')).toBe(4096);
    }, 120_000);

    const lost = route === 'kernel' ? TeeResult.ERROR_BAD_PARAMETERS : TeeResult.ERROR_GENERIC;
    const flip = (offset: number) => (answer: Uint8Array) =>
      answer.map((byte, at) => (at % 512 === offset ? byte ^ 1 : byte));
    const lostAnswer = () => {
      throw new Error('the answer is lost');
    };
    it.each<[string, number, number, RpmbFault, number | undefined]>([
      ['a read that is lost', RpmbRequest.read, 1, 'unreachable', lost],
      ['a read that fails', RpmbRequest.read, 1, { result: RpmbResult.readFailure }, TeeResult.ERROR_GENERIC],
      ['changed data', RpmbRequest.read, 1, flip(300), TeeResult.ERROR_SECURITY],
      ['a write that fails nine times', RpmbRequest.write, 9, { result: RpmbResult.writeFailure }, undefined],
      ['a write that fails for good', RpmbRequest.write, 10, 'unreachable', TeeResult.ERROR_COMMUNICATION],
      ['a wrong counter', RpmbRequest.write, 1, flip(503), TeeResult.ERROR_COMMUNICATION],
      ['an answer to a write that is lost', RpmbRequest.write, 1, lostAnswer, TeeResult.ERROR_COMMUNICATION],
    ])('handles %s like the simulation', async (_what, type, times, fault, code) => {
      let left = 0;
      const card = new EmulatedEmmc({
        ...{ hmac: hmacSha256, ...key },
        fault: (request) => (request.type === type && left-- > 0 ? fault : undefined),
      });
      await open(withCard(card));
      await close(await create('before', 300));
      left = times;
      const struck = create('during', 300);
      if (code === undefined) await close(await struck);
      // GlobalPlatform knows none of these for an object: OP-TEE's library panics the application with it.
      else
        await expect(struck).rejects.toMatchObject({
          code: TeeResult.ERROR_TARGET_DEAD,
          message: expect.stringContaining(`0x${code.toString(16)}`),
        });
      left = 0;
      const again = tee.openContext().openSession(storageTa);
      if (code === TeeResult.ERROR_COMMUNICATION) await expect(again).rejects.toMatchObject({ code });
      else {
        session = await again;
        expect(await sizeOf('before')).toBe(300);
      }
    });

    it.each([
      ['in the card', storage.rpmb],
      ['in files whose digest is in the card', storage.ree],
    ])(
      'has every object %s whose creation was reported, whenever it was killed',
      async (_where, storageId) => {
        if (built === undefined) throw new Error('not built');
        const seed = Math.floor(Math.random() * 2 ** 32);
        const random = seededRandom(seed);
        const writer = fileURLToPath(new URL('storage-writer.js', import.meta.url));
        const args = [writer, built.folder.image, built.folder.trustedApplications];
        for (let round = 0; round < 3; round++) {
          const files = [join(folder, 'storage'), join(folder, 'card'), String(storageId)];
          const child = spawn(process.execPath, [...args, ...files], { stdio: ['ignore', 'pipe', 'pipe'] });
          let said = '';
          let complained = '';
          child.stderr.setEncoding('utf8').on('data', (text: string) => {
            complained += text;
          });
          let lines = 3 + Math.floor(random() * 6);
          await new Promise<void>((resolve) => {
            child.stdout.setEncoding('utf8').on('data', (text: string) => {
              said += text;
              lines -= text.split('\n').length - 1;
              if (lines <= 0 && !child.killed) child.kill('SIGKILL');
            });
            child.once('close', () => resolve());
          });
          expect(child.signalCode, `seed ${seed}, round ${round}: ${complained}`).toBe('SIGKILL');
          const told = said.split('\n').filter((line) => /^\d+$/.test(line)).length;
          await open(inFiles());
          for (let number = 0; number < told; number++)
            expect(await sizeOf(`object ${number}`, storageId), `seed ${seed}, round ${round}`).toBe(700);
          await close(await create('afterwards', 100, storageId));
          await tee.close();
        }
      },
      120_000,
    );
  });
}
