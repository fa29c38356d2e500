import { readSync, writeSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/clock/random.js';
import { openTee, type Tee } from '../../src/index.js';
import { TeeServer } from '../../src/serve/tee-server.js';
import { Operation } from '../../src/serve/wire.js';
import { Command, userTa } from '../support/applications.js';
import { invokeArg, params, request, WireClient, WireConnection } from '../support/wire-client.js';

/** NORMALWORLD_FUZZ: how many requests; NORMALWORLD_SEED: which. */
const requests = Number(process.env.NORMALWORLD_FUZZ ?? 20_000);
const seed = Number(process.env.NORMALWORLD_SEED ?? Date.now() % 0x1_0000_0000);
const connections = 16;
const filesOf: ReadonlySet<number> = new Set([Operation.openDevice, Operation.shmAlloc, Operation.shmRegister]);

describe(`a served TEE under ${requests} hostile requests (NORMALWORLD_SEED=${seed})`, () => {
  let tee: Tee;
  let server: TeeServer;
  beforeAll(async () => {
    tee = await openTee({ memoryFile: true, trustedApplications: [userTa] });
    server = await TeeServer.listen(tee);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    expect(server.openFiles).toBe(0);
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  });

  it('answers or closes the connection, and gives no client access to resources of others', {
    timeout: 60_000 + requests,
  }, async () => {
    const random = seededRandom(seed);
    const victim = await WireClient.open(server.path);
    const page = await victim.shmAlloc(4096);
    const { session } = await victim.openSession(userTa.uuid);
    const memory = tee.memoryFile?.fd ?? -1;
    const secret = Buffer.from(Array.from({ length: 4096 }, (_, index) => index * 31));
    writeSync(memory, secret, 0, secret.length, page.offset);
    const attackers = await Promise.all(Array.from({ length: 4 }, () => WireClient.open(server.path)));
    const own = await Promise.all(attackers.map((attacker) => attacker.openSession(userTa.uuid)));

    const below = (limit: number) => Math.floor(random() * limit);
    const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
    const words = [0, 1, 2, 4095, 4096, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
    const word = () => (random() < 0.5 ? pick(words) : below(2 ** 32));
    const sessions = [session, ...own.map((each) => each.session)];
    const id = () => (random() < 0.5 ? page.id : word());
    const param = () =>
      pick([
        () => [pick([1, 2, 3]), word(), word(), word()] as const,
        () => [pick([5, 6, 7]), word(), word(), id()] as const,
        () => [word(), word(), word(), word()] as const,
      ])();
    const paramList = () => Array.from({ length: below(6) }, param);
    const numbers = (count: number) => {
      const bytes = Buffer.alloc(8 * count);
      for (let index = 0; index < count; index++) bytes.writeBigUInt64LE(BigInt(word()), 8 * index);
      return bytes;
    };
    /** A buffer that a client might have, shared as he might say it is. */
    const buffer = () => {
      const bytes = numbers(4);
      bytes.writeBigUInt64LE(BigInt(below(20_000)), 8);
      bytes.writeUInt32LE(below(20) === 0 ? 1 : 0, 16);
      bytes.writeUInt32LE(below(8), 24);
      bytes.writeUInt32LE(below(4), 28);
      return bytes;
    };
    const commands = [Command.add, Command.reverse, Command.fill, Command.fail, 99];
    /** What the victim has must never be named with success by anybody else: his session, his page. */
    const make = (token: string): Buffer =>
      pick([
        () => request(Operation.invoke, token, invokeArg(pick(sessions), pick(commands), paramList())),
        () => request(Operation.openSession, token, Buffer.concat([numbers(7), params(paramList())])),
        () => request(Operation.cancel, token, numbers(1)),
        () => request(Operation.closeSession, token, numbers(1).subarray(0, 4)),
        () => request(Operation.version, token, Buffer.alloc(pick([0, 11, 12, 13]))),
        () => request(Operation.shmRegister, token, buffer()),
        () => request(below(20), token, numbers(below(128))),
        () => request(Number(word()) >>> 0, token, numbers(below(4))),
      ])();
    const ruin = (bytes: Buffer): Buffer => {
      const copy = Buffer.from(bytes);
      for (let flips = 1 + below(4); flips > 0; flips--) copy[below(copy.length)] = below(256);
      return pick([copy, copy.subarray(0, below(copy.length)), Buffer.concat([copy, copy.subarray(0, below(9))])]);
    };

    let left = requests;
    let answered = 0;
    let hungUp = 0;
    const attack = async () => {
      let connection: WireConnection | undefined;
      while (left-- > 0) {
        connection ??= await WireConnection.open(server.path);
        const token = random() < 0.95 ? pick(attackers).token : 'cd'.repeat(16);
        const good = random() < 0.8;
        const bytes = good ? make(token) : ruin(make(token));
        connection.send(bytes);
        // A ruined request may be none yet, and then nobody answers: the client gives up.
        const answer = good
          ? await connection.answer().catch(() => undefined)
          : await Promise.race([connection.answer().catch(() => undefined), settle()]);
        if (answer === undefined) {
          hungUp++;
          await connection.end();
          connection = undefined;
        } else {
          answered++;
          // What has become a file takes no more requests.
          if (!good || filesOf.has(bytes.readUInt32LE(4))) {
            await connection.end();
            connection = undefined;
          }
        }
      }
      await connection?.end();
    };
    await Promise.all(Array.from({ length: connections }, attack));

    expect(answered).toBeGreaterThan(requests / 4);
    expect(hungUp).toBeGreaterThan(0);
    // The victim has what it had.
    expect((await victim.invoke(session, Command.add, [[3, 1, 2, 0]])).words).toEqual([[3, 2, 0]]);
    const found = Buffer.alloc(4096);
    readSync(memory, found, 0, found.length, page.offset);
    expect(found.equals(secret)).toBe(true);
    expect((await victim.invoke(session, Command.reverse, [[7, 0, 4096, page.id]])).result).toBe(0);
    await page.connection.end();
    for (const client of [victim, ...attackers]) await client.close();
  });
});

/** The server, which is in this process, has had its turns to say what it has to say. */
async function settle(): Promise<undefined> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  return undefined;
}
