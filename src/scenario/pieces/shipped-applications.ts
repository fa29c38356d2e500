import { listDevices } from '../../client/devices.js';
import { temporary, value } from '../../client/parameters.js';
import type { Session } from '../../client/session.js';
import { seededRandom } from '../../clock/random.js';
import { DevicePtaCommand, devicePtaUuid } from '../../protocol/pta-device.js';
import { rpmbBlockSize } from '../../protocol/rpmb.js';
import { TeeOrigin, TeeResult } from '../../protocol/tee-result.js';
import type { Uuid } from '../../protocol/uuid.js';
import { hmacSha256 } from '../../rpmb/node/hmac.js';
import { TeecError } from '../../tee/teec-error.js';
import {
  CounterCommand,
  counterTa,
  RpmbStorageCommand,
  rpmbStorageTa,
  StorageCommand,
  storageTa,
  type TrustedApplication,
} from '../../worlds/simulated/index.js';
import type { ShippedApplication } from '../scenario.js';
import { openSession } from './port.js';
import { Processors } from './processors.js';
import type { RunningApplication } from './running-application.js';

/** The actions of a client on a session of a shipped application, by command name. */
type Commands = Readonly<Record<string, () => Promise<unknown>>>;

interface Shipped {
  /** Only the UUID, for an application that every simulated world has. */
  code(): TrustedApplication | Uuid;
  readonly numbers: Readonly<Record<string, number>>;
  /** @param client its index. Every client uses its own objects. */
  commandsOf(session: Session, client: number): Commands;
}

/** Octets per write of a client. */
const objectSize = rpmbBlockSize;

/** The shipped applications except SCMI, whose clients are agents. */
const shipped: Readonly<Record<Exclude<ShippedApplication['use'], 'scmi'>, Shipped>> = {
  storage: {
    code: () => storageTa,
    numbers: StorageCommand,
    commandsOf(session, client) {
      const name = temporary.input(new TextEncoder().encode(`object-${client}`));
      const data = new Patterns();
      return {
        write: () => session.invoke(StorageCommand.write, [name, temporary.input(data.next())]),
        read: async () => {
          const [, back] = await session.invoke(StorageCommand.read, [name, temporary.output(objectSize)]);
          data.check(back);
        },
        remove: () => session.invoke(StorageCommand.remove, [name]),
      };
    },
  },
  'rpmb-storage': {
    // A run has one world and one card, so a fixed secret and fixed random numbers are sufficient.
    code: () => rpmbStorageTa({ hmac: hmacSha256, secret: new Uint8Array(32), random: seededRandom(0) }),
    numbers: RpmbStorageCommand,
    commandsOf(session, client) {
      const block = value.input(client);
      const data = new Patterns();
      return {
        write: () => session.invoke(RpmbStorageCommand.write, [block, temporary.input(data.next())]),
        read: async () => {
          const [, back] = await session.invoke(RpmbStorageCommand.read, [block, temporary.output(objectSize)]);
          data.check(back);
        },
      };
    },
  },
  counter: {
    code: () => counterTa,
    numbers: CounterCommand,
    commandsOf(session) {
      const data = new Patterns();
      return {
        add: () => session.invoke(CounterCommand.add, [value.inout(1)]),
        echo: async () => {
          const sent = data.next();
          const [, back] = await session.invoke(CounterCommand.echo, [
            temporary.input(sent),
            temporary.output(objectSize),
          ]);
          if (back.some((octet, index) => octet !== sent[index])) throw corrupt();
        },
      };
    },
  },
  'device-enumeration': {
    code: () => devicePtaUuid,
    numbers: { list: DevicePtaCommand.getDevices, 'list-with-supplicant': DevicePtaCommand.getDevicesSupp },
    commandsOf: (session) => ({
      list: () => listDevices(session, DevicePtaCommand.getDevices),
      'list-with-supplicant': () => listDevices(session, DevicePtaCommand.getDevicesSupp),
    }),
  },
};

/** The commands of shipped applications that clients can invoke. */
export const shippedCommands = {
  storage: ['write', 'read', 'remove'],
  'rpmb-storage': ['write', 'read'],
  counter: ['add', 'echo'],
  'device-enumeration': ['list', 'list-with-supplicant'],
} as const satisfies Record<keyof typeof shipped, readonly string[]>;

/** A shipped application other than SCMI, in the simulated world. */
export function runningShipped(
  use: keyof typeof shipped,
  computeMs: number,
  processors: Processors = new Processors(undefined),
): RunningApplication {
  const { code, numbers, commandsOf } = shipped[use];
  const made = code();
  const uuid = typeof made === 'string' ? made : made.uuid;
  let clients = 0;
  return {
    uuid,
    code: typeof made === 'string' ? undefined : computing(made, computeMs, processors),
    commandNumber: (command) => numbers[command] ?? -1,
    async open(context, client) {
      const { session, systemSessions } = await openSession(context, uuid, client);
      const commands = commandsOf(session, clients++);
      return {
        systemSessions,
        invoke: async (command) => commands[command]?.(),
        close: () => session.close(),
      };
    },
  };
}

/** The same application; each command first computes for `time` milliseconds. */
export function computing(
  application: TrustedApplication,
  computeMs: number,
  processors: Processors,
): TrustedApplication {
  if (computeMs === 0) return application;
  return {
    ...application,
    create() {
      const instance = application.create();
      return {
        ...instance,
        async invokeCommand(call) {
          await processors.compute(computeMs, 0, (part) => call.compute(part));
          return instance.invokeCommand(call);
        },
      };
    },
  };
}

/**
 * The data that a client writes: all octets of a write are equal, and each write uses another value. A read must return
 * the data of one of the writes.
 */
class Patterns {
  private written = 0;

  next(): Uint8Array {
    return new Uint8Array(objectSize).fill(++this.written);
  }

  /** @throws TeecError CORRUPT_OBJECT if this client never wrote the data. */
  check(back: Uint8Array): void {
    const [first = 0] = back;
    if (
      back.length !== objectSize ||
      back.some((octet) => octet !== first) ||
      (this.written < 256 && first > this.written)
    )
      throw corrupt();
  }
}

function corrupt(): TeecError {
  return new TeecError(TeeResult.ERROR_CORRUPT_OBJECT, TeeOrigin.API, 'the returned data differs from the sent data');
}
