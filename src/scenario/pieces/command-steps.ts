import { RpcI2c, RpcShmType } from '../../protocol/optee-rpc-command.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { type Mutex, rpcMemref, rpcValue, type TaCall, TeeError, taValue } from '../../worlds/simulated/index.js';
import { drawTime } from '../duration.js';
import type { Invocation, RunJournal } from '../journal/run-journal.js';
import { type ApplicationStep, type ModelledApplication, SERVICES, type ServiceName } from '../scenario.js';
import type { Processors } from './processors.js';
import { i2cBus } from './services.js';

/** The address of a chip, and the data written to it: a register number and its value. */
const i2cChip = 0x48;
const i2cWrite = Uint8Array.of(1, 0x60);

/** The context that the commands of all modelled applications of a run share. */
export interface SecureSurroundings {
  readonly journal: RunJournal;
  readonly processors: Processors;
  /** The modelled applications with their UUIDs, by name. */
  readonly applications: ReadonlyMap<string, { readonly uuid: string; readonly application: ModelledApplication }>;
}

/** A mutex of OP-TEE, held by a command. */
interface SecureLock {
  mutex: Mutex | undefined;
  holder: Invocation | undefined;
}

/** Executes the steps of commands, in secure world. */
export class CommandSteps {
  private readonly locks = new Map<string, SecureLock>();
  /** By application: the invocations whose thread executes in it. */
  private readonly inside = new Map<string, Set<Invocation>>();
  /** The sessions with other applications that belong to a session. */
  private readonly innerSessions = new WeakMap<object, Map<string, number>>();

  constructor(private readonly surroundings: SecureSurroundings) {}

  /** Execute all steps of a command. */
  async command(call: TaCall, name: string, invocation: Invocation, steps: readonly ApplicationStep[]): Promise<void> {
    const { cancellable = false } = this.surroundings.applications.get(name)?.application ?? {};
    if (cancellable) call.unmaskCancellation();
    const inside = this.inside.get(name) ?? new Set();
    this.inside.set(name, inside);
    inside.add(invocation);
    try {
      await this.steps(call, invocation, steps);
    } finally {
      inside.delete(invocation);
    }
  }

  /** A session closes: close its sessions with other applications. */
  async close(call: TaCall): Promise<void> {
    const sessions = this.innerSessions.get(call.session);
    this.innerSessions.delete(call.session);
    for (const session of sessions?.values() ?? []) await call.closeTaSession(session);
  }

  private async steps(call: TaCall, invocation: Invocation, steps: readonly ApplicationStep[]): Promise<void> {
    const { processors } = this.surroundings;
    for (const step of steps) {
      switch (step.step) {
        case 'compute': {
          const time = drawTime(step.time, invocation.random);
          await processors.compute(time, invocation.priority, (part) => call.compute(part));
          break;
        }
        case 'wait':
          await call.wait(drawTime(step.time, invocation.random));
          break;
        case 'rpc':
          await this.askService(call, step.service, invocation);
          break;
        case 'await':
          invocation.awaits = step;
          // The RPC has a resolution of whole milliseconds.
          await call.waitForNotification(step.notification, Math.ceil(step.timeout));
          invocation.awaits = undefined;
          break;
        case 'notify':
          await call.notify(step.notification);
          break;
        case 'hold':
          await this.hold(call, step.lock, invocation, () => this.steps(call, invocation, step.steps));
          break;
        case 'invoke':
          await this.invoke(call, step.application, step.command, invocation);
          break;
        default:
          step satisfies never;
      }
    }
  }

  private async askService(call: TaCall, service: ServiceName, invocation: Invocation): Promise<void> {
    if (service === 'i2c') return this.transferByI2c(call);
    const { journal } = this.surroundings;
    const request = journal.beginRequest(invocation);
    const result = await call.rpc(SERVICES[service], [rpcValue('input', 0, request.number)]);
    journal.endRequest(request);
    if (result !== TeeResult.SUCCESS) throw new TeeError(result);
  }

  /** Write a register of a chip, through memory that the kernel allocates. */
  private async transferByI2c(call: TaCall): Promise<void> {
    const memory = await call.allocateRpcMemory(i2cWrite.length, RpcShmType.kernel);
    try {
      memory.mobj.write(i2cWrite);
      const result = await call.rpc(SERVICES.i2c, [
        rpcValue('input', RpcI2c.write, i2cBus, i2cChip),
        rpcValue('input'),
        rpcMemref('inout', memory.mobj, i2cWrite.length),
        rpcValue('output'),
      ]);
      if (result !== TeeResult.SUCCESS) throw new TeeError(result);
    } finally {
      await call.freeRpcMemory(memory);
    }
  }

  private async hold(call: TaCall, name: string, invocation: Invocation, work: () => Promise<void>): Promise<void> {
    const lock: SecureLock = this.locks.get(name) ?? { mutex: undefined, holder: undefined };
    this.locks.set(name, lock);
    lock.mutex ??= call.createMutex();
    invocation.sleepsFor = { what: `mutex ${name}`, holders: () => [lock.holder ?? []].flat() };
    await call.locked(lock.mutex, async () => {
      invocation.sleepsFor = undefined;
      lock.holder = invocation;
      try {
        await work();
      } finally {
        lock.holder = undefined;
      }
    });
  }

  private async invoke(call: TaCall, name: string, command: string, invocation: Invocation): Promise<void> {
    const other = this.surroundings.applications.get(name);
    if (other === undefined) throw new TeeError(TeeResult.ERROR_ITEM_NOT_FOUND);
    const sessions = this.innerSessions.get(call.session) ?? new Map<string, number>();
    this.innerSessions.set(call.session, sessions);
    invocation.sleepsFor = {
      what: `application ${name}`,
      holders: () => this.blockersOf(other.application, invocation),
    };
    try {
      const session = sessions.get(name) ?? (await call.openTaSession(other.uuid));
      sessions.set(name, session);
      const commands = [...other.application.commands.keys()];
      await call.invokeTa(session, commands.indexOf(command), [taValue('input', invocation.number)]);
    } finally {
      invocation.sleepsFor = undefined;
    }
  }

  /** Invocations that block this one: single-instance user applications have one lock in common. */
  private blockersOf({ name, kind, singleInstance }: ModelledApplication, invocation: Invocation): Invocation[] {
    const others = [...this.surroundings.applications.values()].filter(
      ({ application }) =>
        application.name === name || (kind === 'user' && singleInstance && application.singleInstance),
    );
    const inside = others.flatMap(({ application }) => [...(this.inside.get(application.name) ?? [])]);
    return [...new Set(inside)].filter((other) => other !== invocation);
  }
}
