/**
 * A trusted application with state, two clients that compete for one thread of secure world, and a trace of it:
 * `node key-store.js`, then `normalworld view key-store.nwt`.
 */
import { openTee, TeeError, TeeResult, temporary, trustedApplication, value } from 'normalworld';

const Command = { store: 0, load: 1 };

const keyStore = trustedApplication({
  uuid: 'b1d2a3c4-0f5e-4d6c-8b7a-9e0f1a2b3c4d',
  name: 'key store',
  kind: 'user',
  singleInstance: true,
  multiSession: true,
  keepAlive: true,
  create() {
    const keys = new Map();
    return {
      async invokeCommand(call) {
        const slot = call.value(0).a;
        await call.wait(2);
        switch (call.command) {
          case Command.store:
            keys.set(slot, call.memref(1).read());
            return;
          case Command.load: {
            const key = keys.get(slot);
            if (key === undefined) throw new TeeError(TeeResult.ERROR_ITEM_NOT_FOUND);
            call.memref(1).write(key);
            return;
          }
          default:
            throw new TeeError(TeeResult.ERROR_NOT_SUPPORTED);
        }
      },
    };
  },
});

const tee = await openTee({ trustedApplications: [keyStore], simulated: { threads: 1 }, trace: 'key-store.nwt' });
const clients = await Promise.all(
  ['alice', 'bob'].map((label) => tee.openContext({ label }).openSession(keyStore.uuid)),
);
await Promise.all(
  clients.map(async (session, slot) => {
    await session.invoke(Command.store, [value.input(slot), temporary.input(Uint8Array.of(slot, slot, slot))]);
    tee.trace.mark(`key ${slot} is stored`);
    const key = new Uint8Array(3);
    await session.invoke(Command.load, [value.input(slot), temporary.output(key)]);
    console.log(`slot ${slot}:`, [...key]);
  }),
);
await tee.close();
