import { readdirSync } from 'node:fs';
import type { Tee } from '../../client/tee.js';
import { VirtualClock } from '../../clock/virtual-clock.js';
import { openWorld } from '../../open-world.js';
import { TeeResult } from '../../protocol/tee-result.js';
import type { Uuid } from '../../protocol/uuid.js';
import { Errno } from '../../serve/errno.js';
import { TeeServer } from '../../serve/tee-server.js';
import { Operation } from '../../serve/wire.js';
import { MemoryTaStore } from '../../supplicant/ta-store.js';
import { Trace } from '../../trace/trace.js';
import { InvokeArg, OpenSessionArg } from '../../uapi/tee.js';
import type { MemoryFile } from '../../worlds/qemu/memory-file.js';
import { simulatedTaImage } from '../../worlds/simulated/index.js';
import { type DramFile, SimulatedWorld } from '../../worlds/simulated/simulated-world.js';
import { askedApplications } from '../driver/asked-applications.js';
import type { StateFeatures } from '../driver/state-features.js';
import { thrown } from '../engine/own-exceptions.js';
import { type Verdict, withoutNumbers } from '../engine/verdict.js';
import type { FuzzInput, FuzzValue, Step } from '../input/grammar.js';
import {
  allocateArgument,
  cancelArgument,
  closeArgument,
  invokeArgument,
  type Names,
  openArgument,
  registerArgument,
} from './ioctl-argument.js';
import { foreign } from './ioctl-grammar.js';
import { type WireAnswer, WireClient, wireRequest } from './wire-client.js';

const mebibyte = 2 ** 20;
export const dram = { base: 0x4000_0000, size: mebibyte };
const reservedShm = { base: 0x4008_0000, size: mebibyte / 4 };
/** Turns of the event loop to wait for an ioctl before its client continues concurrently. */
const turns = 40;
/** Turns within which everything must have ended after all clients have gone. */
const lastTurns = 400;
/** Virtual time that advances in each of those turns from number `turns` on, in milliseconds. */
const stepMs = 1000;
const mostClients = 4;
const uuids: readonly [Uuid, Uuid, Uuid] = [
  askedApplications[0].uuid,
  askedApplications[1].uuid,
  '3f1c0d2e-5b7a-4c61-8f0d-6d1f1e0a5b99',
];
/** The content of the other client's memory. No other client may read or write it. */
const secret = Buffer.from(Array.from({ length: 64 }, (_, index) => 0xa0 ^ (index * 37)));
const refusals: ReadonlySet<number> = new Set(Object.values(Errno).map((errno) => -errno));

const images = new MemoryTaStore();
for (const application of askedApplications) images.set(application.uuid, simulatedTaImage(application));

/** One execution, on a server of its own. */
export class IoctlRun {
  private readonly clock = new VirtualClock();
  private readonly world: SimulatedWorld;
  private readonly clients: WireClient[] = [];
  private readonly pending = new Set<Promise<void>>();
  private readonly verdicts: Verdict[] = [];
  /** The well-behaved client. */
  private other: { readonly client: WireClient; readonly session: number } | undefined;
  /** Set when OP-TEE has ended because a pseudo-TA panicked, which is permitted. */
  private worldEnded = false;

  constructor(
    private readonly features: StateFeatures,
    private readonly memory: MemoryFile,
    /** Path of the server's socket. */
    private readonly path: string,
  ) {
    const view = memory.view(0, dram.size);
    new Uint8Array(view).fill(0);
    const kept: DramFile = { fd: memory.fd, view: () => view, [Symbol.dispose]: () => undefined };
    this.world = new SimulatedWorld({
      ...{ clock: this.clock, dram, reservedShm, dramFile: () => kept, trustedApplications: askedApplications },
    });
    void this.world.ended.then(() => {
      this.worldEnded = true;
    });
  }

  async run({ steps }: FuzzInput): Promise<readonly Verdict[]> {
    const trace = new Trace(this.clock);
    const before = openDescriptors();
    const tee = await openWorld(this.world, { trace, clock: this.clock, supplicant: { taStores: [images] } });
    const server = await TeeServer.listen(tee, {
      path: this.path,
      onError: (error) => void this.verdicts.push(thrown('The server', error)),
    });
    this.features.listen(trace);
    await this.serveOther(server);
    await this.openClient(server, 'tee0');
    for (const step of steps) await this.step(step, server);
    if (!this.worldEnded) await this.lookAtOther();
    for (const client of this.clients) client.die();
    await this.end(tee, server);
    if (!(await this.settles(() => openDescriptors() <= before)))
      this.found(
        'leak',
        'File descriptors are open although the server has closed',
        String(openDescriptors() - before),
      );
    return this.verdicts;
  }

  private async step(step: Step, server: TeeServer): Promise<void> {
    switch (step.kind) {
      case 'device':
        if (this.clients.length < mostClients) await this.openClient(server, String(step.name));
        return;
      case 'time':
        await this.clock.advance(Number(step.ms));
        return;
      case 'notify':
        this.world.notify(Number(step.value));
        return;
      case 'interrupt':
        this.world.interrupt();
        return;
      default: {
        const client = this.clients[Number(step.client) % Math.max(1, this.clients.length)];
        if (client !== undefined && !client.isDead) await this.stepOf(client, step);
      }
    }
  }

  private async stepOf(client: WireClient, step: Step): Promise<void> {
    const names = this.namesFor(client);
    switch (step.kind) {
      case 'invoke':
        await this.ioctl(client, step, Operation.invoke, invokeArgument(step, names), (answer) => {
          if (answer.status === 0 && answer.body.readUInt32LE(InvokeArg.result) === TeeResult.SUCCESS)
            this.judgeForeign(step, 'invoked a command in');
        });
        return;
      case 'open': {
        const uuid = uuids[Number(step.application)] ?? uuids[0];
        await this.ioctl(client, step, Operation.openSession, openArgument(step, uuid, names), ({ status, body }) => {
          if (status !== 0 || body.readUInt32LE(OpenSessionArg.result) !== TeeResult.SUCCESS) return;
          if (client.sessions.length < foreign) client.sessions.push(body.readUInt32LE(OpenSessionArg.session));
        });
        return;
      }
      case 'close':
        await this.ioctl(client, step, Operation.closeSession, closeArgument(step, names), ({ status }) => {
          if (status === 0) this.judgeForeign(step, 'closed');
        });
        return;
      case 'cancel':
        await this.ioctl(client, step, Operation.cancel, cancelArgument(step, names));
        return;
      case 'version':
        await this.ioctl(client, step, Operation.version, Buffer.alloc(Number(step.length)));
        return;
      case 'allocate':
        await this.make(client, step, Operation.shmAlloc, allocateArgument(step));
        return;
      case 'register':
        await this.make(client, step, Operation.shmRegister, registerArgument(step));
        return;
      case 'free':
        client.free(Number(step.memory));
        await this.turn();
        return;
      case 'dies':
        client.die();
        await this.turn();
        return;
      case 'knock':
        client.file.connection.send(Buffer.from(String(step.octets), 'hex'));
        await this.turn();
        return;
      case 'request':
        await this.say(client, wireRequest(Number(step.operation), client.file.token, octetsOf(step)));
        return;
      case 'broken': {
        const { magic, length, reserved } = step;
        const lies = { magic: Number(magic), length: Number(length), reserved: Number(reserved) };
        await this.say(client, wireRequest(Number(step.operation), client.file.token, octetsOf(step), lies));
        return;
      }
    }
  }

  private namesFor(client: WireClient): Names {
    const pick = (named: FuzzValue | undefined, own: readonly number[], others: number | undefined) => {
      const number = Number(named);
      return (number === foreign ? others : own[number]) ?? number;
    };
    return {
      session: (named) => pick(named, client.sessions, this.other?.session),
      memory: (named) =>
        pick(
          named,
          client.memories.map(({ id }) => id),
          this.other?.client.memories[0]?.id,
        ),
    };
  }

  /** A client that uses another client's session or memory must be refused. */
  private judgeForeign(step: Step, did: string): void {
    if (step.session === foreign) this.found('memory', `A client ${did} another client's session`);
    const parameters = Array.isArray(step.parameters) ? (step.parameters as readonly Step[]) : [];
    if (parameters.some(({ kind, memory }) => kind === 'memory' && memory === foreign))
      this.found('memory', "A client passed another client's memory to a command");
  }

  private ioctl(
    client: WireClient,
    { kind }: Step,
    operation: number,
    body: Buffer,
    then: (answer: WireAnswer) => void = () => undefined,
  ): Promise<void> {
    return this.do(kind, async () => {
      const answer = await client.ioctl(operation, body);
      if (answer === undefined) {
        if (!client.isDead) this.found('protocol', `The server closed a client's connection in response to ${kind}`);
        return 'hung up';
      }
      const { status } = answer;
      if (status !== 0 && !refusals.has(status)) this.found('protocol', `The status of ${kind} is not an errno`);
      if (status === 0 && answer.body.length !== body.length)
        this.found('protocol', `The answer to ${kind} has the wrong length`);
      else then(answer);
      const result = status === 0 && kind === 'invoke' ? answer.body.readUInt32LE(InvokeArg.result) : 0;
      return `${status} ${result.toString(16)}`;
    });
  }

  private make(client: WireClient, { kind }: Step, operation: number, body: Buffer): Promise<void> {
    return this.do(kind, async () => {
      const file = await client.make(operation, body);
      if (file === undefined) {
        if (!client.isDead) this.found('protocol', `The server closed a client's connection in response to ${kind}`);
        return 'hung up';
      }
      if (file.status !== 0) return String(file.status);
      const given = new Uint8Array(this.memory.view(0, dram.size), file.offset, file.size);
      // New memory must be zero, so that it does not disclose the content of earlier allocations.
      if (given.some((octet) => octet !== 0)) this.found('memory', 'New memory of a client is not zero');
      given.fill(0x5a);
      return 'made';
    });
  }

  /** Send bytes that are not a valid request, then close the connection. */
  private async say(client: WireClient, bytes: Buffer): Promise<void> {
    const connection = await client.say(bytes);
    await this.do('say', async () => `${(await connection.answer())?.status}`);
    client.hangUp(connection);
    await this.turn();
  }

  /**
   * Start a client's operation. If it does not settle, continue while it is pending, so that operations of clients run
   * concurrently.
   */
  private async do(name: string, work: () => Promise<string>): Promise<void> {
    let settled = false;
    const done = work().then(
      (how) => {
        this.features.note(`${name}: ${how.replaceAll('-', 'minus ')}`);
        settled = true;
        this.pending.delete(done);
      },
      (error: unknown) => {
        this.verdicts.push(thrown(`A client, at ${name}`, error));
        this.pending.delete(done);
      },
    );
    this.pending.add(done);
    for (let turn = 0; turn < turns && !settled; turn++) await this.turn();
  }

  private async openClient({ path }: TeeServer, name: string): Promise<void> {
    await this.do('device', async () => {
      const client = await WireClient.open(path, name);
      if (typeof client === 'number') return String(client);
      if (this.clients.length < mostClients) this.clients.push(client);
      else client.die();
      return 'opened';
    });
  }

  /** Open the well-behaved client, with a session and memory. */
  private async serveOther({ path }: TeeServer): Promise<void> {
    const client = await WireClient.open(path, 'tee0');
    if (typeof client === 'number') throw new Error(`the well-behaved client was refused with status ${client}`);
    const step: Step = { kind: 'open', login: 0, cancel: 0, parameters: [], more: 0 };
    const answer = await client.ioctl(Operation.openSession, openArgument(step, uuids[1], this.namesFor(client)));
    const file = await client.make(Operation.shmAlloc, allocateArgument({ kind: 'allocate', size: 4096, flags: 0 }));
    if (answer?.status !== 0 || file?.status !== 0) throw new Error('the well-behaved client is not served');
    secret.copy(Buffer.from(this.memory.view(0, dram.size)), file.offset);
    this.other = { client, session: answer.body.readUInt32LE(OpenSessionArg.session) };
  }

  /** Check that the well-behaved client is still served, and that its memory is unchanged. */
  private async lookAtOther(): Promise<void> {
    const { other } = this;
    if (other === undefined) return;
    const [memory] = other.client.memories;
    if (
      memory !== undefined &&
      !secret.equals(Buffer.from(this.memory.view(0, dram.size), memory.offset, secret.length))
    )
      this.found('memory', 'The memory of another client was written');
    const parameters = [{ kind: 'value', direction: 'inout', a: 20, b: 22, c: 0 }];
    const step: Step = { kind: 'invoke', command: 1, session: foreign, cancel: 0, parameters, more: 0 };
    let answer: WireAnswer | undefined;
    const asked = other.client
      .ioctl(Operation.invoke, invokeArgument(step, this.namesFor(other.client)))
      .then((came) => {
        answer = came;
      });
    if (!(await this.settles(() => answer !== undefined || this.worldEnded))) {
      this.verdicts.push({
        kind: 'hang',
        signature: 'hang: other client',
        what: 'The well-behaved client is no longer served',
      });
      return;
    }
    if (this.worldEnded) return;
    await asked;
    const sum = answer?.status === 0 ? Number(answer.body.readBigUInt64LE(InvokeArg.head + 8)) : undefined;
    if (sum !== 42)
      this.found('exception', `The well-behaved client gets ${sum ?? `status ${answer?.status}`} for 20 + 22`);
  }

  /** Close all clients, and check that files, sessions, threads and memory are released. */
  private async end(tee: Tee, server: TeeServer): Promise<void> {
    if (!(await this.settles(() => server.openFiles <= 1 || this.worldEnded)))
      this.found('leak', 'Files of clients that exited are open', server.clients.slice(1).join(', '));
    else if (!this.worldEnded) await this.lookAtSecureWorld();
    this.other?.client.die();
    if (!(await this.settles(() => server.openFiles === 0 || this.worldEnded)))
      this.found('leak', 'Files are open although all clients have exited', server.clients.join(', '));
    await server[Symbol.asyncDispose]();
    let closed = false;
    const closing = tee.close().then(() => {
      closed = true;
    });
    if (!(await this.settles(() => closed && this.pending.size === 0))) {
      this.verdicts.push({
        kind: 'hang',
        signature: 'hang: end',
        what: 'An ioctl does not return, or the TEE does not close',
      });
      return;
    }
    await closing;
    if (tee.sharedMemoryInUse !== 0)
      this.found('leak', 'Shared memory is still allocated after the TEE has closed', `${tee.sharedMemoryInUse} bytes`);
    const { normal_in_flight: inFlight } = tee.queueState().counters;
    if (inFlight !== 0) this.found('leak', 'The queue still counts calls after the TEE has closed', String(inFlight));
  }

  /** Check secure world's threads and sessions when only one client is left. */
  private async lookAtSecureWorld(): Promise<void> {
    const isIdle = () => this.world.threads.every(({ state }) => state === 'free');
    if (!(await this.settles(() => isIdle() || this.worldEnded)))
      this.found('leak', 'A thread of secure world was not released');
    if (!(await this.settles(() => this.world.sessionCount <= 1 || this.worldEnded)))
      this.found('leak', 'A session of an exited client is open in secure world');
  }

  /** Whether a condition becomes true, first without and then with virtual time advancing. */
  private async settles(isSo: () => boolean): Promise<boolean> {
    for (let turn = 0; turn < lastTurns; turn++) {
      if (isSo()) return true;
      if (turn < turns) await this.turn();
      else await this.clock.advance(stepMs);
    }
    return isSo();
  }

  /** Let pending events of the event loop be handled; virtual time does not advance. */
  private async turn(): Promise<void> {
    await this.clock.run({ limitMs: this.clock.now() });
  }

  private found(kind: Verdict['kind'], what: string, more = ''): void {
    this.verdicts.push({
      kind,
      signature: `${kind}: ${withoutNumbers(what)}`,
      what: more === '' ? what : `${what}: ${more}`,
    });
  }
}

function octetsOf({ octets }: Step): Uint8Array {
  return Buffer.from(String(octets), 'hex');
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}
