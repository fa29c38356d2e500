import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Session, type Tee, temporary, value } from '../../src/index.js';
import { onRealOptee, whyNot } from '../worlds/qemu/real-optee.js';
import { openRealTee } from './real-tee.js';

/** ta/crypt: GlobalPlatform's cryptographic API as commands (ta/crypt/include/ta_crypt.h of OP-TEE/optee_test). */
const crypt = 'cb3e5ba0-adf1-11e0-998b-0002a5d5c51b';
const Command = {
  allocateOperation: 5,
  freeOperation: 6,
  setOperationKey: 9,
  digestUpdate: 12,
  digestDoFinal: 13,
  cipherInit: 14,
  cipherUpdate: 15,
  cipherDoFinal: 16,
  macInit: 17,
  macUpdate: 18,
  macFinalCompute: 19,
  allocateTransientObject: 21,
  freeTransientObject: 22,
  populateTransientObject: 24,
  randomNumberGenerate: 32,
  aeInit: 33,
  aeUpdateAad: 34,
  aeEncryptFinal: 36,
} as const;

// GlobalPlatform TEE Internal Core API, tables 5-9, 6-3, 6-8 and 6-10.
const Mode = { encrypt: 0, decrypt: 1, mac: 4, digest: 5 } as const;
const typeAes = 0xa000_0010;
const attributeSecretValue = 0xc000_0000;

describe.skipIf(whyNot !== undefined)(onRealOptee("regression group 4000: cryptography, against Node's own"), () => {
  let tee: Tee;
  let session: Session;
  beforeAll(async () => {
    tee = await openRealTee();
    session = await tee.openContext().openSession(crypt);
  });
  afterAll(() => tee.close());

  async function operation(algorithm: number, mode: number, keyBits = 0): Promise<number> {
    const [opened] = await session.invoke(Command.allocateOperation, [
      value.inout(0, algorithm),
      value.input(mode, keyBits),
    ]);
    return opened.a;
  }

  /** Give the operation a secret key. The object with it must live as long. */
  async function setKey(handle: number, type: number, key: Uint8Array): Promise<void> {
    const [, object] = await session.invoke(Command.allocateTransientObject, [
      value.input(type, 8 * key.length),
      value.output(),
    ]);
    // One attribute: its id, where its bytes begin, how many there are.
    const packed = Buffer.alloc(16 + key.length);
    for (const [index, word] of [1, attributeSecretValue, 16, key.length].entries())
      packed.writeUInt32LE(word, 4 * index);
    packed.set(key, 16);
    await session.invoke(Command.populateTransientObject, [value.input(object.a), temporary.input(packed)]);
    await session.invoke(Command.setOperationKey, [value.input(handle, object.a)]);
    await session.invoke(Command.freeTransientObject, [value.input(object.a)]);
  }

  const free = (handle: number) => session.invoke(Command.freeOperation, [value.input(handle)]);

  it.each([
    ['md5', 0x5000_0001],
    ['sha1', 0x5000_0002],
    ['sha224', 0x5000_0003],
    ['sha256', 0x5000_0004],
    ['sha384', 0x5000_0005],
    ['sha512', 0x5000_0006],
  ] as const)('4001: %s in two pieces', async (name, algorithm) => {
    for (const size of [0, 1, 63, 64, 4096, 100_003]) {
      const data = randomBytes(size);
      const handle = await operation(algorithm, Mode.digest);
      const split = size >> 1;
      await session.invoke(Command.digestUpdate, [value.input(handle), temporary.input(data.subarray(0, split))]);
      const [, , digest] = await session.invoke(Command.digestDoFinal, [
        value.input(handle),
        temporary.input(data.subarray(split)),
        temporary.output(64),
      ]);
      expect(Buffer.from(digest)).toEqual(createHash(name).update(data).digest());
      await free(handle);
    }
  });

  it.each([
    ['sha1', 0x3000_0002, 0xa000_0002],
    ['sha256', 0x3000_0004, 0xa000_0004],
    ['sha512', 0x3000_0006, 0xa000_0006],
  ] as const)('4002: HMAC-%s', async (name, algorithm, type) => {
    const key = randomBytes(32);
    const data = randomBytes(777);
    const handle = await operation(algorithm, Mode.mac, 8 * key.length);
    await setKey(handle, type, key);
    await session.invoke(Command.macInit, [value.input(handle), temporary.input(null)]);
    await session.invoke(Command.macUpdate, [value.input(handle), temporary.input(data.subarray(0, 500))]);
    const [, , mac] = await session.invoke(Command.macFinalCompute, [
      value.input(handle),
      temporary.input(data.subarray(500)),
      temporary.output(64),
    ]);
    expect(Buffer.from(mac)).toEqual(createHmac(name, key).update(data).digest());
    await free(handle);
  });

  it.each([
    ['aes-128-cbc', 0x1000_0110, 16],
    ['aes-256-cbc', 0x1000_0110, 32],
    ['aes-256-ctr', 0x1000_0210, 32],
  ] as const)('4003: %s, there and back', async (name, algorithm, keyLength) => {
    const key = randomBytes(keyLength);
    const iv = randomBytes(16);
    const plain = randomBytes(4096 + 32);
    const pass = async (mode: number, data: Uint8Array) => {
      const handle = await operation(algorithm, mode, 8 * keyLength);
      await setKey(handle, typeAes, key);
      await session.invoke(Command.cipherInit, [value.input(handle), temporary.input(iv)]);
      const [, , head] = await session.invoke(Command.cipherUpdate, [
        value.input(handle),
        temporary.input(data.subarray(0, 4096)),
        temporary.output(4096),
      ]);
      const [, , tail] = await session.invoke(Command.cipherDoFinal, [
        value.input(handle),
        temporary.input(data.subarray(4096)),
        temporary.output(32),
      ]);
      await free(handle);
      return Buffer.concat([head, tail]);
    };
    const cipher = createCipheriv(name, key, iv).setAutoPadding(false);
    const expected = Buffer.concat([cipher.update(plain), cipher.final()]);
    expect(await pass(Mode.encrypt, plain)).toEqual(expected);
    expect(await pass(Mode.decrypt, expected)).toEqual(plain);
  });

  it('4005: AES-GCM, opened by Node', async () => {
    const [key, nonce, plain, aad] = [randomBytes(32), randomBytes(12), randomBytes(300), randomBytes(20)];
    const handle = await operation(0x4000_0810, Mode.encrypt, 256);
    await setKey(handle, typeAes, key);
    await session.invoke(Command.aeInit, [
      value.input(handle, 16),
      temporary.input(nonce),
      value.input(aad.length, plain.length),
    ]);
    await session.invoke(Command.aeUpdateAad, [value.input(handle), temporary.input(aad)]);
    const [, , encrypted, tag] = await session.invoke(Command.aeEncryptFinal, [
      value.input(handle),
      temporary.input(plain),
      temporary.output(300),
      temporary.output(16),
    ]);
    const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(aad).setAuthTag(tag);
    expect(Buffer.concat([decipher.update(encrypted), decipher.final()])).toEqual(plain);
    await free(handle);
  });

  it('4007: random numbers that differ', async () => {
    const [first] = await session.invoke(Command.randomNumberGenerate, [temporary.output(64)]);
    const [second] = await session.invoke(Command.randomNumberGenerate, [temporary.output(64)]);
    expect(first).toHaveLength(64);
    expect(Buffer.compare(first, second)).not.toBe(0);
  });
});
