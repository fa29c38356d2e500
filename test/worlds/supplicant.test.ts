import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type OpenTeeOptions, openTee, RpcCommand, startSupplicant, type Tee } from '../../src/index.js';
import { TeeResult } from '../../src/protocol/tee-result.js';
import { FolderTaStore } from '../../src/supplicant/node/folder-ta-store.js';
import type { SupplicantService } from '../../src/supplicant/supplicant-service.js';
import { MemoryTaStore, simulatedTaImage } from '../../src/testing.js';
import { Door } from '../support/door.js';
import { happened } from '../support/happened.js';
import { invokeTests, opteeTestApplications, osTest } from '../support/optee-test-applications.js';
import { folder, whyNot } from './qemu/real-optee.js';

const simulatedImages = new MemoryTaStore();
for (const ta of opteeTestApplications) if (ta.kind === 'user') simulatedImages.set(ta.uuid, simulatedTaImage(ta));

const worlds = {
  'the simulated world': {
    options: { trustedApplications: opteeTestApplications },
    images: simulatedImages,
    whyNot: undefined,
  },
  'real OP-TEE': {
    options: { world: 'qemu', qemu: { callLimitMs: 30_000 } },
    images: new FolderTaStore(folder.trustedApplications),
    whyNot,
  },
} as const satisfies Record<string, { options: OpenTeeOptions; images: unknown; whyNot: string | undefined }>;

const messageOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );

for (const [name, world] of Object.entries(worlds)) {
  const why = world.whyNot === undefined ? '' : ` (skipped: ${world.whyNot})`;
  describe.skipIf(world.whyNot !== undefined)(`a supplicant of ${name}${why}`, () => {
    let tee: Tee;
    /** Images of TAs come through it. */
    let door: Door;
    const settings = () => ({
      taStores: [{ load: () => door.pass() }, world.images],
      onError: () => undefined,
    });
    const askedForSupplicant = () => happened(tee, ({ type }) => type === 'rpc-begin');

    beforeEach(async () => {
      door = new Door();
      tee = await openTee({ ...world.options, supplicant: false });
    });
    afterEach(async () => {
      door.open();
      await tee.close();
      expect(tee.sharedMemoryInUse, 'shared memory that nobody gave back').toBe(0);
    });

    it('that is missing is waited for and named; when it attaches, the session opens', async () => {
      const asked = askedForSupplicant();
      const opening = tee.openContext({ label: 'early' }).openSession(osTest);
      await asked;
      expect(tee.waiting().calls).toMatchObject([
        { context: 'early', purpose: 'open-session', waitsFor: expect.stringMatching(/^a supplicant to start: /) },
      ]);
      startSupplicant(tee, settings());
      await (await opening).close();
      expect(tee.waiting().calls).toEqual([]);
    });

    it('that is missing is not waited for by the kernel, which enumerates devices without it', async () => {
      const message = await messageOf(tee.openKernelContext().openSession(osTest));
      expect(message).toContain('there is no supplicant, and a kernel client does not wait for one');
      expect(await tee.devices()).toEqual([{ uuid: invokeTests, needs: 'nothing' }]);
    });

    it('that is missing does not block a client that dies', async () => {
      const asked = askedForSupplicant();
      const client = tee.openContext();
      const opening = messageOf(client.openSession(osTest));
      await asked;
      await client.kill();
      expect(await opening).toContain('the client died before a supplicant started');
      expect(tee.waiting().calls).toEqual([]);
    });

    it('that detaches during a request gives an error with the reason; the next one serves again', async () => {
      door.shut();
      const first = startSupplicant(tee, settings());
      const opening = messageOf(tee.openContext().openSession(osTest));
      await door.reached(1);
      const left = first[Symbol.asyncDispose]();
      expect(await opening).toContain('LOAD_TA: the supplicant exited while it served this');
      door.open();
      await left;
      startSupplicant(tee, settings());
      await (await tee.openContext().openSession(osTest)).close();
    });

    it('that is the second gets BUSY, and the first continues', async () => {
      startSupplicant(tee, settings());
      expect(() => startSupplicant(tee)).toThrow(/TEEC_ERROR_BUSY/);
      await (await tee.openContext().openSession(osTest)).close();
    });

    it('that never answers is named, and abandoned when the client dies: another client is served', async () => {
      door.shut();
      startSupplicant(tee, settings());
      const client = tee.openContext({ label: 'patient' });
      const opening = messageOf(client.openSession(osTest));
      await door.reached(1);
      expect(tee.waiting().calls).toMatchObject([{ context: 'patient', waitsFor: 'the supplicant: LOAD_TA' }]);
      await client.kill();
      expect(await opening).toContain('LOAD_TA: the client died before the supplicant had answered');
      door.open();
      await (await tee.openContext().openSession(osTest)).close();
    });

    const rubbish: readonly [string, SupplicantService][] = [
      ['no result at all', (() => undefined) as unknown as SupplicantService],
      ['a result that is not an integer', () => 0.5],
      ['an error that is not a TEE result', () => Promise.reject(new Error('disk on fire'))],
      ['success and nothing else', () => TeeResult.SUCCESS],
      [
        'a size below zero',
        ([, image]) => {
          if (image?.type === 'memref') image.size = -1;
          return TeeResult.SUCCESS;
        },
      ],
      [
        'a size beyond all memory',
        ([, image]) => {
          if (image?.type === 'memref') image.size = 2 ** 40;
          return TeeResult.SUCCESS;
        },
      ],
      [
        'an image that is none',
        ([, image]) => {
          if (image?.type === 'memref') {
            image.shm?.write(image.offset, new Uint8Array(16).fill(0xa5));
            image.size = 16;
          }
          return TeeResult.SUCCESS;
        },
      ],
    ];
    it.each(rubbish)('that answers with %s fails the call, and the next one is served', async (_, loadTa) => {
      const services = new Map([[RpcCommand.loadTa as number, loadTa]]);
      const bad = startSupplicant(tee, { ...settings(), services });
      await expect(tee.openContext().openSession(osTest)).rejects.toMatchObject({ name: 'TeecError' });
      await bad[Symbol.asyncDispose]();
      startSupplicant(tee, settings());
      await (await tee.openContext().openSession(osTest)).close();
    });
  });
}
