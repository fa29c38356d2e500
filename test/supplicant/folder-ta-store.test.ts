import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTee, RpcCommand, TeecError, TeeResult, trustedApplication } from '../../src/index.js';
import { uuidOctets } from '../../src/protocol/uuid.js';
import { FolderTaStore } from '../../src/supplicant/node/folder-ta-store.js';
import { MemoryTaStore, simulatedTaImage } from '../../src/testing.js';

const ta = trustedApplication({
  uuid: '5b9e0e40-2636-11e1-ad9e-0002a5d5c51b',
  kind: 'user',
  create: () => ({ invokeCommand() {} }),
});
const image = simulatedTaImage(ta);
const legacy = '5b9e0e40-2636-11e1-ad9e0002a5d5c51b.ta';

let folder: string;
const path = (...parts: string[]) => join(folder, ...parts);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'normalworld-ta-'));
  mkdirSync(path('first'));
  mkdirSync(path('second'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** What may lie in the first folder in place of an image. */
const unreadable: readonly [string, (file: string) => void][] = [
  ['a folder', (file) => mkdirSync(file)],
  ['a link to itself', (file) => symlinkSync(file, file)],
  ['a FIFO', (file) => execFileSync('mkfifo', [file])],
  ['a device', (file) => symlinkSync('/dev/zero', file)],
  [
    'more than 2 GiB',
    (file) => {
      closeSync(openSync(file, 'w'));
      truncateSync(file, 2 ** 31 + 1);
    },
  ],
];

describe('a folder of images', () => {
  const failures: Error[] = [];
  const open = async (...folders: string[]) => {
    failures.length = 0;
    const tee = await openTee({
      taFolders: folders,
      trustedApplications: [],
      simulated: {},
      supplicant: { onError: (error) => failures.push(error) },
    });
    return tee;
  };

  it.each(unreadable)('with %s in place of one is skipped, and the reason is reported', async (_, make) => {
    make(path('first', `${ta.uuid}.ta`));
    writeFileSync(path('second', `${ta.uuid}.ta`), image);
    const store = new FolderTaStore(path('first'));
    await expect(store.load(ta.uuid)).rejects.toThrow();
    await using tee = await open(path('first'), path('second'));
    // The simulated world knows no such application: what it refuses is the image that it was given.
    await expect(tee.openContext().openSession(ta.uuid)).rejects.not.toThrow('ITEM_NOT_FOUND');
    expect(failures.map(({ message }) => message).join()).toContain(ta.uuid);
  });

  it.each(unreadable)('with %s and nothing after it is ITEM_NOT_FOUND for that session alone', async (_, make) => {
    make(path('first', `${ta.uuid}.ta`));
    await using tee = await open(path('first'));
    const opening = tee.openContext().openSession(ta.uuid);
    await expect(opening).rejects.toMatchObject({ code: TeeResult.ERROR_ITEM_NOT_FOUND });
    // The call that suffers says why.
    await expect(opening).rejects.toThrow(/LOAD_TA: loading 5b9e0e40/);
    await expect(tee.openContext().openSession(ta.uuid)).rejects.toBeInstanceOf(TeecError);
  });

  it('that is a file is skipped as well', async () => {
    writeFileSync(path('file'), '');
    await using tee = await open(path('file'), path('nowhere'));
    const opening = tee.openContext().openSession(ta.uuid);
    await expect(opening).rejects.toMatchObject({ code: TeeResult.ERROR_ITEM_NOT_FOUND });
    await expect(opening).rejects.toThrow(`${path('file')} is not a folder`);
  });

  it('without the image is listed in the error, with what is there', async () => {
    writeFileSync(path('first', legacy), image);
    await using tee = await open(path('first'), path('nowhere'));
    const opening = tee.openContext().openSession('ffd2bded-ab7d-4988-95ee-e4962fff7154');
    await expect(opening).rejects.toThrow(`${path('first')} (1 image), ${path('nowhere')} (does not exist)`);
  });

  it('with an application in C gives the simulated world none to run, and the error says so', async () => {
    writeFileSync(path('first', `${ta.uuid}.ta`), Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1));
    await using tee = await open(path('first'));
    await expect(tee.openContext().openSession(ta.uuid)).rejects.toThrow(
      /application in C, which runs in world "qemu" or "linux"/,
    );
  });

  it('may have images with names from before 2017, which are tried after current names', async () => {
    writeFileSync(path('first', legacy), 'old');
    const store = new FolderTaStore(path('first'));
    expect(Buffer.from((await store.load(ta.uuid)) ?? []).toString()).toBe('old');
    writeFileSync(path('first', `${ta.uuid}.ta`), 'new');
    expect(Buffer.from((await store.load(ta.uuid)) ?? []).toString()).toBe('new');
    expect(await store.load('ffd2bded-ab7d-4988-95ee-e4962fff7154')).toBeUndefined();
  });
});

describe('images in memory', () => {
  it('are found by any spelling of their UUID, but not by an invalid one', async () => {
    const store = new MemoryTaStore();
    store.set(` ${ta.uuid.toUpperCase()}\n`, image);
    expect(store.load(ta.uuid)).toBe(image);
    expect(() => store.set('nonsense', image)).toThrow(/not a UUID: "nonsense"/);
    expect(uuidOctets(ta.uuid).length).toBe(16);
  });
});

describe('a store that judges its images', () => {
  it('and throws while it does so gives them all the same, and what it threw is told', async () => {
    const failures: Error[] = [];
    const doubts = () => {
      throw new TypeError('a bug of the judge');
    };
    await using tee = await openTee({
      trustedApplications: [ta],
      supplicant: { taStores: [{ load: () => image, doubts }], onError: (error) => failures.push(error) },
    });
    await (await tee.openContext().openSession(ta.uuid)).close();
    expect(failures.map(({ message }) => message)).toEqual([expect.stringContaining('a bug of the judge')]);
  });
});

describe('plugins', () => {
  const plugin = (uuid: string) => ({ uuid, invoke: () => ({ result: 0 }) });
  it('are refused with an invalid UUID, or one that is in use', async () => {
    await expect(openTee({ supplicant: { plugins: [plugin('nonsense')] } })).rejects.toThrow(/not a UUID: "nonsense"/);
    const [one, two] = ['f07bfc66-958c-4a15-99c0-260e4e7375dd', 'F07BFC66-958C-4A15-99C0-260E4E7375DD'];
    await expect(openTee({ supplicant: { plugins: [plugin(one), plugin(two)] } })).rejects.toThrow(
      `two plugins have the UUID ${one}`,
    );
  });

  it('are found by a UUID in capitals', async () => {
    const called: number[] = [];
    const words = [0x66fc_7bf0, 0x154a_8c95, 0x0e26_c099, 0xdd75_734e] as const;
    const { AskingTee, inout, input, octets } = await import('../support/asking-application.js');
    await using tee = await AskingTee.open({
      plugins: [
        {
          uuid: 'F07BFC66-958C-4A15-99C0-260E4E7375DD',
          invoke: (command) => {
            called.push(command);
            return { result: TeeResult.SUCCESS, output: new Uint8Array(65) };
          },
        },
      ],
    });
    const ask = (room: number) =>
      tee.ask(RpcCommand.plugin, [
        input(0, words[0], words[1]),
        input(words[2], words[3], 9),
        inout(0, 7),
        octets('inout', room),
      ]);
    expect(await ask(65)).toMatchObject({ result: TeeResult.SUCCESS, params: [{}, {}, { b: 65 }, {}] });
    // What does not fit is told by the result, not by a length that nobody can use.
    expect(await ask(64)).toMatchObject({ result: TeeResult.ERROR_BAD_PARAMETERS, params: [{}, {}, { b: 7 }, {}] });
    expect(called).toEqual([9, 9]);
  });
});
