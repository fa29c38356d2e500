import { RpcCommand } from '../../src/protocol/optee-rpc-command.js';
import { TeeResult } from '../../src/protocol/tee-result.js';
import type { SupplicantService } from '../../src/supplicant/supplicant-service.js';
import { rpcValue, TeeError, type TrustedApplication, trustedApplication } from '../../src/worlds/simulated/index.js';

/** Commands of the test applications. */
export const Command = {
  /** value[0].a += value[0].b */
  add: 1,
  /** Reverses memref[0] in place. */
  reverse: 2,
  /** Writes as many bytes 0xa5 as value[0].a says into memref[1], or says how many that would be. */
  fill: 3,
  /** TEE_Wait for value[0].a milliseconds, cancellable. */
  wait: 4,
  /** A PLUGIN request to the supplicant: the call returns when that is answered. */
  ask: 5,
  panic: 6,
  /** Returns value[0].a as its result. */
  fail: 7,
  /** value[0].a: the client's login class; the client's UUID into memref[1]. */
  whoAmI: 8,
  /** As `ask`; says CANCEL when it was cancelled meanwhile. */
  askCancellably: 9,
  /** value[0].a: 1 when memref[1] is null, 0 when it is memory. */
  isNull: 10,
} as const;

function application(kind: 'user' | 'pseudo', uuid: string): TrustedApplication {
  return trustedApplication({
    uuid,
    kind,
    ...(kind === 'pseudo' ? { concurrent: true } : {}),
    create: () => ({
      async invokeCommand(call) {
        switch (call.command) {
          case Command.add: {
            const value = call.value(0);
            value.a += value.b;
            return;
          }
          case Command.reverse: {
            const memref = call.memref(0);
            memref.write(memref.read().reverse());
            return;
          }
          case Command.fill: {
            const wanted = call.value(0).a;
            const memref = call.memref(1);
            const room = memref.capacity;
            memref.size = wanted;
            if (wanted > room) return TeeResult.ERROR_SHORT_BUFFER;
            memref.write(new Uint8Array(wanted).fill(0xa5));
            return;
          }
          case Command.wait:
            call.unmaskCancellation();
            return call.wait(call.value(0).a);
          case Command.ask:
            return call.rpc(RpcCommand.plugin, [rpcValue('input', call.session.id)]);
          case Command.askCancellably: {
            call.unmaskCancellation();
            const answer = await call.rpc(RpcCommand.plugin, [rpcValue('input', call.session.id)]);
            return call.cancelled ? TeeResult.ERROR_CANCEL : answer;
          }
          case Command.panic:
            return call.panic(0xdead);
          case Command.fail:
            return call.value(0).a;
          case Command.whoAmI: {
            const out = call.value(0);
            out.a = call.client.login;
            call.memref(1).write(new TextEncoder().encode(call.client.uuid));
            return;
          }
          case Command.isNull:
            call.value(0).a = call.memref(1).isNull ? 1 : 0;
            return;
          default:
            throw new TeeError(TeeResult.ERROR_NOT_SUPPORTED);
        }
      },
    }),
  });
}

/** A user TA, an instance for each session. */
export const userTa = application('user', '11111111-2222-4333-8444-555555555555');
/** A pseudo-TA whose sessions run side by side. */
export const pseudoTa = application('pseudo', '66666666-7777-4888-8999-aaaaaaaaaaaa');

/** A supplicant's plugin service that answers when the test says so: calls of `Command.ask` stay inside until then. */
export class Gate {
  private waiting: (() => void)[] = [];
  private watchers: { readonly count: number; readonly resolve: () => void }[] = [];

  readonly service: SupplicantService = () =>
    new Promise((resolve) => {
      this.waiting.push(() => resolve(TeeResult.SUCCESS));
      this.watchers = this.watchers.filter(({ count, resolve: seen }) => {
        if (this.waiting.length < count) return true;
        seen();
        return false;
      });
    });

  readonly services = new Map([[RpcCommand.plugin, this.service]]);

  /** Calls that wait inside at this moment. */
  get inside(): number {
    return this.waiting.length;
  }

  /** Resolves when so many calls wait inside. */
  reached(count: number): Promise<void> {
    if (this.waiting.length >= count) return Promise.resolve();
    return new Promise((resolve) => {
      this.watchers.push({ count, resolve });
    });
  }

  /** Let the calls that wait go on: the first, or all. */
  open(which: 'first' | 'all' = 'all'): void {
    for (const go of this.waiting.splice(0, which === 'first' ? 1 : this.waiting.length)) go();
  }
}
