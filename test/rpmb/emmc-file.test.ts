import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTee, temporary, value } from '../../src/index.js';
import { macProtected, RpmbFrame, RpmbRequest, RpmbResult, rpmbFrames } from '../../src/protocol/rpmb.js';
import { cardWithCid, EmmcFile, type EmmcFileOptions, EmulatedEmmc, hmacSha256 } from '../../src/rpmb/index.js';
import { RpmbStorageCommand, rpmbStorageTa, seededRandom } from '../../src/testing.js';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const key = new Uint8Array(32).fill(7);
let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'normalworld-card-'));
  path = join(folder, 'card');
});
afterEach(() => rmSync(folder, { recursive: true }));

const withCard = <T>(use: (card: EmmcFile) => T, options: EmmcFileOptions = { key }): T => {
  using card = EmmcFile.open(path, options);
  return use(card);
};

/** Write blocks of one byte each, with the card's key and counter. @returns the card's result. */
function write(card: EmulatedEmmc, first: number, bytes: readonly number[], counter = card.writeCounter): number {
  const frames = bytes.map((byte) => {
    const frame = new RpmbFrame();
    frame.type = RpmbRequest.write;
    frame.address = first;
    frame.blockCount = bytes.length;
    frame.counter = counter;
    frame.data.fill(byte);
    return frame;
  });
  frames.at(-1)?.mac.set(
    hmacSha256(
      key,
      frames.map(({ bytes }) => macProtected(bytes)),
    ),
  );
  const request = Buffer.concat(frames.map(({ bytes }) => bytes));
  return rpmbFrames(card.exchange(request, 512))[0]?.result ?? -1;
}

function read(card: EmulatedEmmc, first: number, count: number): number[] {
  const frame = new RpmbFrame();
  frame.type = RpmbRequest.read;
  frame.address = first;
  return rpmbFrames(card.exchange(frame.bytes, 512 * count)).map(({ data }) => data[255] ?? -1);
}

describe('the file of an eMMC card', () => {
  it("keeps the card's state when it is opened again: key, counter, blocks, identification, sizes", () => {
    const made = { sizeMultiplier: 2, reliableWriteSectors: 3, cid: new Uint8Array(16).fill(9) };
    withCard((card) => {
      expect(card.hasKey).toBe(false);
      const frame = new RpmbFrame();
      frame.type = RpmbRequest.programKey;
      frame.mac.set(key);
      card.exchange(frame.bytes, 512);
      expect(write(card, 3, [1, 2, 3, 4, 5, 6])).toBe(RpmbResult.ok);
    }, made);
    withCard((card) => {
      expect(card).toMatchObject({ ...made, hasKey: true, writeCounter: 1, blockCount: 1024 });
      expect(read(card, 2, 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 0]);
      expect(write(card, 1023, [9])).toBe(RpmbResult.ok);
    }, {});
    withCard((card) => expect([card.writeCounter, read(card, 1023, 1)]).toEqual([2, [9]]), {});
  });

  it('keeps its identification, and is found by it among others', async () => {
    const cid = Uint8Array.from({ length: 16 }, (_, index) => index);
    await (await openTee({ emmc: { file: path, cid } })).close();
    await expect(openTee({ emmc: { file: path, cid: new Uint8Array(16) } })).rejects.toThrow(
      /cid is 000102030405060708090a0b0c0d0e0f, not 0000/,
    );
    withCard((card) => {
      const other = new EmulatedEmmc({ hmac: hmacSha256 });
      expect(cardWithCid([other, card], cid)).toBe(card);
      expect(() => cardWithCid([other, card], new Uint8Array(16))).toThrow(
        /no card has the identification 0{32}; there are 656d756c61746564.*, 000102030405060708090a0b0c0d0e0f$/,
      );
    }, {});
  });

  it('is selected by its identification on the command line', () => {
    const cid = '0f'.repeat(16);
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [main, 'supplicant', '--device', '/dev/teepriv77', ...args], { encoding: 'utf8' });
    const other = join(folder, 'other');
    // It is made, then there is no such device.
    expect(run('--rpmb', path, '--rpmb-cid', cid)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/ENOENT/),
    });
    withCard((card) => expect(Buffer.from(card.cid).toString('hex')).toBe(cid), {});
    expect(run('--rpmb', other, '--rpmb', path, '--rpmb-cid', cid).stderr).toMatch(/ENOENT/);
    expect(run('--rpmb', other, '--rpmb', path, '--rpmb-cid', 'ab'.repeat(16))).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/no card has the identification abab.*0f0f/),
    });
    expect(run('--rpmb', path, '--rpmb-cid', 'ab'.repeat(16))).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/cid is 0f0f.*not abab/),
    });
    expect(run('--rpmb-cid', cid)).toMatchObject({ status: 2 });
    expect(run('--rpmb', path, '--rpmb-cid', 'xy')).toMatchObject({ status: 2 });
  });

  it('can be used by one TEE at a time', () => {
    withCard(() => expect(() => EmmcFile.open(path)).toThrow(/eMMC card .*card: another TEE of this process uses it/));
    withCard((card) => expect(card.hasKey).toBe(true));
  });

  it('does not wait at a FIFO, and reads no device', () => {
    execFileSync('mkfifo', [path]);
    expect(() => EmmcFile.open(path, { key })).toThrow(`${path}: it is not a regular file`);
    rmSync(path);
    symlinkSync('/dev/zero', path);
    expect(() => EmmcFile.open(path, { key })).toThrow(`${path}: it is not a regular file`);
  });

  it.each([
    ['is something else', Buffer.from('a text of mine\n'), 'is not a file of an eMMC card'],
    ['is empty', Buffer.alloc(0), 'is not a file of an eMMC card'],
    ['is of a later version', Buffer.from('normalworld eMMC\x09'.padEnd(600, '\0')), 'file of version 9, expected 1'],
    [
      'has impossible sizes',
      Buffer.from('normalworld eMMC\x01\0\0\0\xff\xff\xff\xff\x01'.padEnd(600, '\0'), 'latin1'),
      'has impossible sizes',
    ],
  ])('is refused if it %s, and is not changed', (_what, bytes, says) => {
    writeFileSync(path, bytes);
    expect(() => EmmcFile.open(path)).toThrow(says);
    expect(readFileSync(path)).toEqual(bytes);
    expect(() => EmmcFile.open(path)).toThrow(says);
  });

  it('is refused for a card with other properties', () => {
    withCard(() => {});
    expect(() => EmmcFile.open(path, { sizeMultiplier: 4 })).toThrow(/whose sizeMultiplier is 1, not 4/);
    expect(() => EmmcFile.open(path, { cid: new Uint8Array(16) })).toThrow(/whose cid is 65.*, not 00/);
    expect(() => EmmcFile.open(join(folder, 'other'), { sizeMultiplier: 200 })).toThrow(/sizeMultiplier is 200/);
    expect(readdirSync(folder)).toEqual(['card']);
  });

  it('keeps its key, whatever key it is opened with', () => {
    withCard((card) => write(card, 0, [1]));
    withCard((card) => expect(write(card, 0, [2])).toBe(RpmbResult.ok), { key: new Uint8Array(32) });
  });

  it('contains a write completely or not at all, wherever it was interrupted', () => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    const random = seededRandom(seed);
    withCard((card) => {
      for (let round = 0; round < 6; round++) write(card, 10, [round, round]);
    });
    const copy = join(folder, 'before');
    for (let attempt = 0; attempt < 60; attempt++) {
      copyFileSync(path, copy);
      const before = readFileSync(path);
      const old = withCard((card) => read(card, 10, 2));
      const counter = withCard((card) => card.writeCounter);
      const fresh = Math.floor(random() * 256);
      withCard((card) => write(card, 10, [fresh, fresh ^ 1]));
      const after = readFileSync(path);
      // What a write changes, in the order of the file: its record, then the blocks. Only a part of it came through.
      const changed = [...after.keys()].filter((at) => after[at] !== before[at]);
      const through = Math.floor(random() * (changed.length + 1));
      const torn = Buffer.from(before);
      for (const at of changed.slice(0, through)) torn[at] = after[at] ?? 0;
      writeFileSync(path, torn);
      const found = withCard((card) => [card.writeCounter, ...read(card, 10, 2)]);
      expect(
        [
          [counter, ...old],
          [counter + 1, fresh, fresh ^ 1],
        ],
        `seed ${seed}, attempt ${attempt}`,
      ).toContainEqual(found);
      if (through === changed.length) expect(found[0]).toBe(counter + 1);
      if (through === 0) expect(found[0]).toBe(counter);
    }
  });

  it('is refused if neither of its last two commits is complete: its key and counter are lost', () => {
    withCard((card) => {
      for (let round = 0; round < 3; round++) write(card, 0, [round]);
    });
    const whole = readFileSync(path);
    // In the keys of both records, which are at 512 and 1536.
    const places = [512 + 60, 1536 + 60];
    const damaged = (which: readonly number[]) => {
      const bytes = Buffer.from(whole);
      for (const place of which) bytes.writeUInt8(bytes.readUInt8(place) ^ 1, place);
      writeFileSync(path, bytes);
    };
    // One may be torn by a killed process.
    damaged(places.slice(0, 1));
    withCard((card) => expect([card.hasKey, card.writeCounter > 1]).toEqual([true, true]));
    damaged(places);
    expect(() => EmmcFile.open(path)).toThrow(/damaged file of an eMMC card: neither of its last two commits/);
  });

  it('keeps a write whose blocks find no room on the disk, and reports the next one', () => {
    // The header and both records fit, block 500 does not.
    const filler = fileURLToPath(new URL('full-disk-writer.js', import.meta.url));
    withCard((card) => write(card, 0, [1]));
    const limited = spawnSync('bash', ['-c', `ulimit -f 8; exec '${process.execPath}' "$@"`, 'bash', filler, path], {
      encoding: 'utf8',
    });
    expect(limited).toMatchObject({ status: 0, stdout: '0 2 9; EFBIG 2 9\n' });
    withCard((card) => expect([card.writeCounter, read(card, 500, 1)]).toEqual([2, [9]]));
  });

  it('survives the death of the writing process at any time', async () => {
    const writer = fileURLToPath(new URL('card-writer.js', import.meta.url));
    let least = 0;
    for (let round = 0; round < 4; round++) {
      const child = spawn(process.execPath, [writer, path], { stdio: ['ignore', 'pipe', 'inherit'] });
      let said = '';
      await new Promise<void>((resolve) => {
        child.stdout.setEncoding('utf8').on('data', (text: string) => {
          said = (said + text).slice(-100);
          if (child.exitCode === null) child.kill('SIGKILL');
        });
        child.once('close', () => resolve());
      });
      const told = Number(said.split('\n').at(-2));
      withCard((card) => {
        // What was told is there; one more may be, of which nobody heard.
        expect(card.writeCounter).toBeGreaterThanOrEqual(told);
        expect(card.writeCounter).toBeGreaterThan(least);
        const last = (card.writeCounter - 1) & 0xff;
        expect(read(card, 5, 2)).toEqual([last, last]);
        least = card.writeCounter;
      });
    }
  });

  it('reads blocks beyond the end of the file as zeros', () => {
    withCard((card) => write(card, 500, [1]));
    truncateSync(path, 4096);
    // The last commit is put there again: nothing is lost.
    withCard((card) => expect([...read(card, 499, 2)]).toEqual([0, 1]));
  });

  it('is used by openTee while the TEE is open', async () => {
    const ta = () => rpmbStorageTa({ hmac: hmacSha256, secret: new Uint8Array(32).fill(1), random: seededRandom(7) });
    for (const round of [1, 2]) {
      const tee = await openTee({ trustedApplications: [ta()], emmc: { file: path } });
      await expect(openTee({ emmc: { file: path } })).rejects.toThrow(/another TEE of this process uses it/);
      const session = await tee.openContext().openSession(ta().uuid);
      const [, kept] = await session.invoke(RpmbStorageCommand.read, [value.input(2), temporary.output(256)]);
      expect(kept[0]).toBe(round - 1);
      await session.invoke(RpmbStorageCommand.write, [
        value.input(2),
        temporary.input(new Uint8Array(256).fill(round)),
      ]);
      await tee.close();
    }
  });

  it('cannot be combined with devices of the caller', async () => {
    const card = new EmulatedEmmc({ hmac: hmacSha256 });
    await expect(openTee({ emmc: {}, rpmb: [card] })).rejects.toThrow('give only one of them');
    await expect(openTee({ emmc: { fil: path } as object })).rejects.toThrow(/emmc: .*fil/);
    await expect(openTee({ emmc: { file: '' } })).rejects.toThrow('emmc: file must be a path');
  });
});

describe("a card's write counter", () => {
  const memory = (writeCounter: number) => ({
    key,
    writeCounter,
    programKey() {},
    read: () => undefined,
    write() {
      this.writeCounter++;
    },
  });

  it('refuses a write with a wrong counter', () => {
    const card = new EmulatedEmmc({ hmac: hmacSha256, key });
    expect(write(card, 0, [1], 1)).toBe(RpmbResult.counterFailure);
    expect(write(card, 0, [1])).toBe(RpmbResult.ok);
    expect(write(card, 0, [1], 0)).toBe(RpmbResult.counterFailure);
    expect(card.writeCounter).toBe(1);
  });

  it('expires: then nothing is written, and every answer reports it', () => {
    const card = new EmulatedEmmc({ hmac: hmacSha256, memory: memory(0xffff_fffe) });
    expect(write(card, 0, [1])).toBe(RpmbResult.counterExpired);
    expect(card.writeCounter).toBe(0xffff_ffff);
    expect(write(card, 0, [1])).toBe(RpmbResult.writeFailure | RpmbResult.counterExpired);
    expect(card.writeCounter).toBe(0xffff_ffff);
  });
});
