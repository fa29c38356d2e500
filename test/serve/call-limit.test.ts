import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTee, type Tee } from '../../src/index.js';
import { TeeOrigin, TeeResult } from '../../src/protocol/tee-result.js';
import { TeeServer } from '../../src/serve/tee-server.js';
import { Command, Gate, userTa } from '../support/applications.js';
import { Door } from '../support/door.js';
import { WireClient } from '../support/wire-client.js';

const timeout = { status: 0, result: TeeResult.ERROR_TIMEOUT, origin: TeeOrigin.COMMS };

describe('a served TEE whose calls have a limit', () => {
  let tee: Tee;
  let server: TeeServer;
  let client: WireClient;
  const gate = new Gate();

  beforeEach(async () => {
    tee = await openTee({
      memoryFile: true,
      callLimitMs: 50,
      trustedApplications: [userTa],
      supplicant: { services: gate.services },
    });
    server = await TeeServer.listen(tee);
    client = await WireClient.open(server.path);
  });
  afterEach(async () => {
    gate.open();
    await client.close();
    await server[Symbol.asyncDispose]();
    expect(server.openFiles).toBe(0);
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  });

  it('returns TIMEOUT to the client of a hanging call, and continues to serve', async () => {
    const { session } = await client.openSession(userTa.uuid);
    expect(await client.invoke(session, Command.ask)).toMatchObject(timeout);
    const other = await WireClient.open(server.path);
    expect(await other.openSession(userTa.uuid)).toMatchObject({ status: 0, result: TeeResult.SUCCESS });
    await other.close();
  });

  it('is not blocked by a client that exited while its call hangs', async () => {
    const { session } = await client.openSession(userTa.uuid);
    expect(await client.invoke(session, Command.ask)).toMatchObject(timeout);
    await client.close();
    // What the call asks of the supplicant is withdrawn from it, as of any dead client's.
    await server[Symbol.asyncDispose]();
    expect(server.openFiles).toBe(0);
  });
});

describe('a session that opens after its client got TIMEOUT', () => {
  it('is closed', async () => {
    const door = new Door();
    const images = { load: () => door.pass() };
    await using tee = await openTee({
      memoryFile: true,
      callLimitMs: 50,
      trustedApplications: [userTa],
      supplicant: { taStores: [images] },
    });
    await using server = await TeeServer.listen(tee);
    const closed = new Promise<void>((resolve) => {
      tee.trace.listen((event) => {
        if (event.type === 'session-close') resolve();
      });
    });
    door.shut();
    const client = await WireClient.open(server.path);
    expect(await client.openSession(userTa.uuid)).toMatchObject(timeout);
    door.open();
    await closed;
    await client.close();
  });
});
