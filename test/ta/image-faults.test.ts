import { execFileSync } from 'node:child_process';
import { constants, createHash, createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTee, type Tee, type TeecError } from '../../src/index.js';
import { inspectTa, type KnownKeys, knownKeys } from '../../src/ta/index.js';
import { opteeFolder } from '../../src/worlds/qemu/optee-folder.js';
import { onRealOptee } from '../worlds/qemu/real-optee.js';
import { whyNoKit } from './ta-project.js';

const sims = 'e6a33ed4-562b-463a-bb7e-ff5e15a493c8';
const headerSize = 20 + 32 + 256;
const elfAt = headerSize + 20;

describe.skipIf(whyNoKit !== undefined)(onRealOptee('an image that OP-TEE does not load'), () => {
  const folder = mkdtempSync(join(tmpdir(), 'normalworld-images-'));
  let good: Buffer;
  let kitKey: KeyObject;
  let keys: KnownKeys;
  let tee: Tee;
  beforeAll(async () => {
    const optee = opteeFolder();
    good = readFileSync(join(optee.trustedApplications, `${sims}.ta`));
    kitKey = createPrivateKey(readFileSync(join(optee.kit, 'keys/default_ta.pem')));
    keys = await knownKeys(optee.image);
    mkdirSync(folder, { recursive: true });
    tee = await openTee({ world: 'qemu', taFolders: [folder] });
  });
  afterAll(async () => {
    await tee?.close();
    rmSync(folder, { recursive: true });
  });

  /** Signed anew, as sign_encrypt.py does it. */
  const signed = (image: Buffer, key: KeyObject) => {
    const header = image.subarray(0, 20);
    const content = image.subarray(headerSize);
    createHash('sha256').update(header).update(content).digest().copy(image, 20);
    sign('sha256', Buffer.concat([header, content]), {
      key,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
    }).copy(image, 52);
    return image;
  };
  const changed = (change: (image: Buffer) => void) => {
    const image = Buffer.from(good);
    change(image);
    return image;
  };
  /** By OP-TEE's own script, from the same ELF. */
  const script = (...args: readonly string[]) => {
    const { kit } = opteeFolder();
    execFileSync('python3', [join(kit, 'scripts/sign_encrypt.py'), ...args], { stdio: 'pipe' });
  };
  const signedByScript = (key: string, ...more: readonly string[]): Buffer => {
    const work = mkdtempSync(join(tmpdir(), 'normalworld-signed-'));
    try {
      const [elf, out] = [join(work, 'in.elf'), join(work, 'out.ta')];
      writeFileSync(elf, good.subarray(elfAt));
      script('sign-enc', '--key', key, '--uuid', sims, '--in', elf, '--out', out, ...more);
      return readFileSync(out);
    } finally {
      rmSync(work, { recursive: true });
    }
  };
  const kitKeyFile = () => join(opteeFolder().kit, 'keys/default_ta.pem');
  const encrypted = (key: string) => signedByScript(kitKeyFile(), '--enc-key', key);
  const kitEncryptionKey = () =>
    /^TA_ENC_KEY\s*\?=\s*'(\w+)'/m.exec(readFileSync(join(opteeFolder().kit, 'mk/link.mk'), 'utf8'))?.[1] ?? '';
  /** Signed with a key that is itself signed with `root`. */
  const bySubkey = (root: string, signedWith: 'subkey' | 'another key' = 'subkey'): Buffer => {
    const work = mkdtempSync(join(tmpdir(), 'normalworld-subkey-'));
    try {
      const [pem, other, rootFile, subkey] = ['sub.pem', 'other.pem', 'root.pem', 'sub.bin'].map((name) =>
        join(work, name),
      );
      for (const file of [pem, other, rootFile]) writeFileSync(file ?? '', newKey());
      if (root === 'kit') writeFileSync(rootFile ?? '', readFileSync(kitKeyFile()));
      const named = ['--uuid', sims, '--name-size', '0', '--max-depth', '0'];
      script('sign-subkey', ...named, '--key', rootFile ?? '', '--in', pem ?? '', '--out', subkey ?? '');
      const image = signedByScript(pem ?? '', '--subkey', subkey ?? '');
      if (signedWith === 'subkey') return image;
      // The script refuses that: put the signature of another key in its place.
      const at = image.length - (good.length - elfAt) - 20 - 256;
      signedByScript(other ?? '').copy(image, at, 52, 52 + 256);
      return image;
    } finally {
      rmSync(work, { recursive: true });
    }
  };
  const newKey = () =>
    generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  /** Signed anew with a changed ELF. */
  const withElf = (change: (elf: Buffer, head: number) => void) =>
    signed(
      changed((image) => {
        const elf = image.subarray(elfAt);
        change(elf, elf.indexOf(Buffer.from('d43ea3e62b563a46bb7eff5e15a493c8', 'hex')));
      }),
      kitKey,
    );
  const flipped = (image: Buffer, at: number) => {
    image.writeUInt8(image.readUInt8(at) ^ 1, at);
    return image;
  };
  const cases: Readonly<
    Record<string, { readonly image: () => Buffer; readonly says: RegExp; readonly named?: string }>
  > = {
    truncated: { image: () => good.subarray(0, good.length - 1000), says: /truncated: 1000 bytes are missing/ },
    'truncated within its header': { image: () => good.subarray(0, 10), says: /has 10 bytes/ },
    empty: { image: () => Buffer.alloc(0), says: /is empty/ },
    'not signed, an ELF': { image: () => good.subarray(elfAt), says: /ELF without a signature/ },
    'something else': { image: () => Buffer.alloc(5000, 'text'), says: /does not begin with HSTO/ },
    altered: {
      image: () => changed((image) => image.writeUInt8(image.readUInt8(5000) ^ 1, 5000)),
      says: /altered after it was signed/,
    },
    "signed with a key that is not OP-TEE's": {
      image: () => signed(Buffer.from(good), generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey),
      says: /signed with another key than this OP-TEE accepts: sign it with \S*default_ta\.pem \(TA_SIGN_KEY\)/,
    },
    renamed: {
      image: () => good,
      says: /has UUID e6a33ed4.*the file is named 11111111/,
      named: '11111111-562b-463a-bb7e-ff5e15a493c8',
    },
    'larger than secure RAM': {
      image: () =>
        signed(
          changed((image) => {
            // The stack that struct ta_head asks for, behind the UUID.
            const head = image.indexOf(Buffer.from('d43ea3e62b563a46bb7eff5e15a493c8', 'hex'), elfAt);
            image.writeUInt32LE(64 * 1024 * 1024, head + 16);
          }),
          kitKey,
        ),
      says: /needs 6\d\.\d MiB of secure RAM, 64\.0 MiB of them its stack/,
    },
    'followed by other bytes': {
      image: () => Buffer.concat([good, Buffer.alloc(3)]),
      says: /3 bytes follow the end of the image/,
    },
    'encrypted with another key': {
      image: () => encrypted('ff'.repeat(32)),
      says: /encrypted with another key than this OP-TEE's \(TA_ENC_KEY/,
    },
    'encrypted and altered': {
      image: () => {
        const image = encrypted(kitEncryptionKey());
        return flipped(image, image.length - 50);
      },
      says: /its decrypted content does not match the signed hash/,
    },
    'encrypted and truncated': {
      image: () => encrypted(kitEncryptionKey()).subarray(0, -100),
      says: /truncated: 100 bytes are missing/,
    },
    'signed through the subkey of another key': {
      image: () => bySubkey('another'),
      says: /signed with another key than this OP-TEE accepts/,
    },
    'signed with another key than its subkey': {
      image: () => bySubkey('kit', 'another key'),
      says: /signed with another key than this OP-TEE accepts: sign it with its subkey/,
    },
    'signed through a subkey, and altered': {
      image: () => {
        const image = bySubkey('kit');
        return flipped(image, image.length - 50);
      },
      says: /altered after it was signed/,
    },
    'truncated behind its subkey': {
      image: () => bySubkey('kit').subarray(0, -100),
      says: /truncated: 100 bytes are missing/,
    },
    'a big-endian one': { image: () => withElf((elf) => elf.writeUInt8(2, 5)), says: /big-endian/ },
    'not position-independent': { image: () => withElf((elf) => elf.writeUInt16LE(2, 16)), says: /ET_DYN/ },
    'without program headers': { image: () => withElf((elf) => elf.writeUInt16LE(0, 56)), says: /nothing to load/ },
    'without a stack': { image: () => withElf((elf, head) => elf.writeUInt32LE(0, head + 16)), says: /has no stack/ },
    'of unknown flags': {
      image: () => withElf((elf, head) => elf.writeUInt32LE(1 << 20, head + 20)),
      says: /unknown flags, 0x100000/,
    },
    'a 32-bit one': {
      image: () =>
        signed(
          changed((image) => {
            // ELFCLASS32 and EM_ARM.
            image.writeUInt8(1, elfAt + 4);
            image.writeUInt16LE(40, elfAt + 18);
          }),
          kitKey,
        ),
      says: /32-bit/,
    },
  };

  for (const [name, { image, says, named = sims }] of Object.entries(cases))
    it(`that is ${name} is told as that`, async () => {
      const bytes = image();
      writeFileSync(join(folder, `${named}.ta`), bytes);
      const error = await tee
        .openContext()
        .openSession(named)
        .then(
          () => expect.fail('it was loaded'),
          (error: TeecError) => error,
        );
      expect(error.message).toMatch(says);
      const report = inspectTa(bytes, { named, ...keys });
      expect(report.faults[0]?.detail).toMatch(says);
      // What the inspection says that OP-TEE answers is what it answers.
      expect(report.faults[0]?.answer).toBe(error.codeName);
      rmSync(join(folder, `${named}.ta`));
    });

  it.each([
    ['encrypted with the key of the kit', () => encrypted(kitEncryptionKey()), 'encrypted'],
    ['signed through a subkey', () => bySubkey('kit'), 'subkey'],
    [
      'of another UUID in its code than in its header',
      () => withElf((elf, head) => void flipped(elf, head)),
      'application',
    ],
  ] as const)('is not one that is %s: it is loaded', async (_, image, kind) => {
    const bytes = image();
    expect(inspectTa(bytes, { named: sims, ...keys })).toMatchObject({ kind, bits: 64, faults: [] });
    writeFileSync(join(folder, `${sims}.ta`), bytes);
    const session = await tee.openContext().openSession(sims);
    await session.close();
  });

  it('because a higher version was loaded before is told as that', async () => {
    await using fresh = await openTee({ world: 'qemu', taFolders: [folder] });
    writeFileSync(join(folder, `${sims}.ta`), signedByScript(kitKeyFile(), '--ta-version', '2'));
    await (await fresh.openContext().openSession(sims)).close();
    writeFileSync(join(folder, `${sims}.ta`), signedByScript(kitKeyFile(), '--ta-version', '1'));
    await expect(fresh.openContext().openSession(sims)).rejects.toThrow(
      /has loaded a higher version of the application before \(CFG_TA_VERSION\).*TEEC_ERROR_ACCESS_CONFLICT/,
    );
  });

  it('does not prevent the next one from being loaded', async () => {
    writeFileSync(join(folder, `${sims}.ta`), good);
    const session = await tee.openContext().openSession(sims);
    await session.close();
    expect(inspectTa(good, { named: sims, ...keys })).toMatchObject({
      kind: 'application',
      uuid: sims,
      bits: 64,
      faults: [],
    });
  });
});

describe('inspecting an image', () => {
  it('accepts any bytes', () => {
    let seed = 12345;
    const random = () => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return seed / 2 ** 32;
    };
    for (let round = 0; round < 500; round++) {
      const bytes = Uint8Array.from({ length: Math.floor(random() * 600) }, () => Math.floor(random() * 256));
      // Those that begin as images and ELFs do.
      if (round % 3 === 0) bytes.set([0x48, 0x53, 0x54, 0x4f, 1, 0, 0, 0].slice(0, bytes.length));
      if (round % 3 === 1) bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1].slice(0, bytes.length));
      expect(inspectTa(bytes, { named: sims, keys: [], accepted: undefined }).faults.length).toBeGreaterThan(0);
    }
  });

  it('names a key that signed it but is not accepted', () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
    const header = Buffer.alloc(20);
    header.writeUInt32LE(0x4f54_5348, 0);
    header.writeUInt32LE(1, 4);
    header.writeUInt32LE(0x7041_4930, 12);
    header.writeUInt16LE(32, 16);
    header.writeUInt16LE(256, 18);
    const versioned = Buffer.alloc(20);
    const signature = sign('sha256', Buffer.concat([header, versioned]), {
      key: privateKey,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
    });
    const hash = createHash('sha256').update(header).update(versioned).digest();
    const report = inspectTa(Buffer.concat([header, hash, signature, versioned]), {
      named: undefined,
      keys: [{ name: 'wrong.pem', key: publicKey }],
      accepted: [{ name: 'kit.pem', key: other }],
    });
    expect(report.faults.map(({ detail }) => detail).join()).toContain(
      'signed with the key wrong.pem, which this OP-TEE does not accept: sign it with kit.pem',
    );
  });
});
