import { SlotOperation } from '../linux/call-slot.js';
import type { StartedCall } from '../linux/call-threads.js';
import type { DeviceCalls, DeviceDoor, SharedDeviceMemory } from '../linux/device-door.js';
import { errnoError } from '../linux/errno-error.js';
import type { Outcome } from '../linux/system-calls.js';
import type { BlockingCall } from '../linux/thread-handle.js';
import { BufferMemory, pageSize } from '../protocol/physical-memory.js';
import { TeeShm } from '../tee/tee-shm.js';
import { ShmAllocArg, TeeIoctl } from '../uapi/tee.js';
import type { AgentLink } from './agent-link.js';
import { AgentOperation, type Change, FrameError } from './frames.js';
import type { Hello } from './hello.js';
import { MemoryCopy } from './memory-copy.js';

/** Shared memory on both machines. */
export class RemoteMemories {
  readonly byId = new Map<number, MemoryCopy>();

  /** @throws FrameError if the memory does not exist. */
  change(change: Change, read: number): void {
    const copy = this.byId.get(change.memory);
    if (copy === undefined) throw new FrameError(`a change of shared memory ${change.memory}, which does not exist`);
    copy.take(change, read);
  }
}

/** Operations that release something. They succeed even if the agent is no longer reachable. */
const endings: ReadonlySet<number> = new Set([
  ...[TeeIoctl.cancel, TeeIoctl.closeSession, AgentOperation.close, AgentOperation.free],
]);

/** The TEE device of another machine, which an agent accesses for us. */
export function remoteDoor(link: AgentLink, hello: Hello, memories: RemoteMemories, whose: string): DeviceDoor {
  let lastFile = 0;
  let inUse = 0;
  const make = async (operation: number, file: number, arg?: Uint8Array): Promise<Outcome> => {
    let reply: { readonly status: number; readonly body: Buffer };
    try {
      reply = await link.request(operation, file, arg);
    } catch (error) {
      if (endings.has(operation)) return { result: 0, errno: 0 };
      throw error;
    }
    if (reply.status < 0) return { result: -1, errno: -reply.status };
    if (arg !== undefined) arg.set(reply.body.subarray(0, arg.length));
    return { result: 0, errno: 0 };
  };
  const run = ({ operation, fd, request = 0, arg }: BlockingCall) =>
    make(operation === SlotOperation.close ? AgentOperation.close : request & 0xff, fd, arg);
  const calls: DeviceCalls = {
    run,
    // The request is sent already, so it cannot be withdrawn.
    start: (call): StartedCall => ({ outcome: run(call), withdraw: () => false }),
    runUrgent: run,
  };
  const memory: SharedDeviceMemory = {
    get bytesInUse() {
      return inUse;
    },
    async allocate(file, size) {
      const arg = Buffer.alloc(ShmAllocArg.size);
      arg.writeBigUInt64LE(BigInt(size), ShmAllocArg.length);
      const { result, errno } = await make(TeeIoctl.shmAlloc, file, arg);
      if (result === -1) throw errnoError(errno, `allocating ${size} bytes of shared memory`);
      const id = arg.readUInt32LE(ShmAllocArg.id);
      const shm = new TeeShm(
        id,
        'registered',
        size,
        0,
        undefined,
        true,
        new BufferMemory(0, new ArrayBuffer(size)),
        () => {
          memories.byId.delete(id);
          inUse -= size;
          const body = Buffer.alloc(4);
          body.writeUInt32LE(id, 0);
          return make(AgentOperation.free, file, body).then(() => undefined);
        },
      );
      inUse += size;
      memories.byId.set(id, new MemoryCopy(id, shm));
      return shm;
    },
    register: undefined,
    registerDescriptor: undefined,
  };
  return {
    version: hello.tee,
    whose,
    open(label) {
      const file = ++lastFile;
      // If opening fails, each request on the file returns the error.
      link.request(AgentOperation.open, file, Buffer.from(label).subarray(0, 200)).catch(() => undefined);
      return file;
    },
    calls,
    memory,
    carryIn(params) {
      for (const param of params) {
        if (param.type !== 'memref' || param.shm === null) continue;
        const copy = memories.byId.get(param.shm.id);
        if (copy === undefined) continue;
        // Trusted applications see whole pages.
        const begin = param.offset - (param.offset % pageSize);
        const end = Math.ceil((param.offset + param.size) / pageSize) * pageSize;
        link.tell((number) => copy.changes(begin, end - begin, number));
      }
    },
    end: () => void link.end(),
  };
}
