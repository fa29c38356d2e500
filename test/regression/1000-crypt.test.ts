import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Session, type Tee, TeeOrigin, TeeResult, temporary } from '../../src/index.js';
import { onRealOptee, whyNot } from '../worlds/qemu/real-optee.js';
import { openRealTee } from './real-tee.js';

/** ta/crypt: algorithms in the TA's own code; its AES key is the bytes 0 to 31 (ta/crypt/aes_taf.c of OP-TEE/optee_test). */
const crypt = 'cb3e5ba0-adf1-11e0-998b-0002a5d5c51b';
/** ta/rpc_test: hands its commands on to ta/crypt, in a session of its own (ta/rpc_test/include/ta_rpc_test.h). */
const rpcTest = 'd17f73a0-36ef-11e1-984a-0002a5d5c51b';
const key = Uint8Array.from({ length: 32 }, (_, index) => index);

describe.skipIf(whyNot !== undefined).each([
  ['1004: the crypt TA', crypt, { sha224: 1, sha256: 2, encrypt: 3, decrypt: 4 }],
  ["1011: TA to TA with the client's memory", rpcTest, { sha224: 1, sha256: 2, encrypt: 3, decrypt: 4 }],
  ["1011: TA to TA with the first TA's own memory", rpcTest, { sha224: 6, sha256: 7, encrypt: 8, decrypt: 9 }],
] as const)(`${onRealOptee('regression group 1000')}: %s`, (_name, uuid, commands) => {
  let tee: Tee;
  let session: Session;
  beforeAll(async () => {
    tee = await openRealTee();
    session = await tee.openContext().openSession(uuid);
  });
  afterAll(async () => {
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  });

  const run = async (command: number, input: Uint8Array, outputSize: number): Promise<Buffer> => {
    const [, output] = await session.invoke(command, [temporary.input(input), temporary.output(outputSize)]);
    return Buffer.from(output);
  };

  it.each(['sha224', 'sha256'] as const)("hashes as Node's %s does", async (name) => {
    for (const input of [Buffer.from('abc'), ...[1, 55, 56, 64, 4097].map((size) => randomBytes(size))]) {
      const expected = createHash(name).update(input).digest();
      expect(await run(commands[name], input, expected.length), `${input.length} bytes`).toEqual(expected);
    }
  });

  it("encrypts as Node's AES-256 in ECB mode does, and decrypts again", async () => {
    for (const size of [16, 32, 4096]) {
      const plain = randomBytes(size);
      const cipher = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false);
      const expected = Buffer.concat([cipher.update(plain), cipher.final()]);
      expect(await run(commands.encrypt, plain, size)).toEqual(expected);
      expect(await run(commands.decrypt, expected, size)).toEqual(plain);
    }
  });

  it('refuses an output that is too small for the hash, and goes on', async () => {
    await expect(run(commands.sha256, Buffer.from('abc'), 31)).rejects.toMatchObject({
      code: TeeResult.ERROR_BAD_PARAMETERS,
      origin: TeeOrigin.TRUSTED_APP,
    });
    expect(await run(commands.sha256, Buffer.from('abc'), 32)).toEqual(createHash('sha256').update('abc').digest());
  });
});
