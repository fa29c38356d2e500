import { RpcCommand } from '../../../protocol/optee-rpc-command.js';
import { asyncNotifDoBottomHalf, OpteeSmc, smcName } from '../../../protocol/optee-smc.js';
import type { Scenario } from '../../../scenario/scenario.js';
import type { CallPurpose, TimedTraceEvent } from '../../../trace/trace.js';

/** A part of the system, and whether a step changes it or does no more than look at it, or count in it. */
export interface Touch {
  readonly part: string;
  readonly how: 'changes' | 'uses';
}

/** A call as far as it decides what its steps touch. */
export interface TouchingCall {
  readonly purpose: CallPurpose;
  /** The label of its context. */
  readonly client: string;
}

/** The step by which a call goes back to secure world with an answer. */
const resumption = smcName(OpteeSmc.returnFromRpc);

/** Fewer than go into one page, which is there as soon as the first session is opened. */
const messagesInOnePage = 8;

/** Calls of which nothing is looked at when they return. */
const returnsAlone: ReadonlySet<CallPurpose> = new Set(['invoke', 'open-session', 'close-session', 'bottom-half']);

/** Interrupts, what is pending, and bottom halves. */
const NOTIFICATIONS: Touch = { part: 'notifications', how: 'changes' };
/** Which applications have sessions, and memory of their own: it is made by an opening and ends by a close. */
const APPLICATIONS: Touch = { part: 'applications', how: 'changes' };
/** Requests of secure world, and what the supplicant and its services have. */
const REQUESTS: Touch = { part: 'requests', how: 'changes' };
/** What is being registered. Where each piece of memory lies is in the state itself. */
const MEMORY: Touch = { part: 'memory', how: 'changes' };

/**
 * Which parts of the system each step of a run touches, in scenarios that the file describes wholly. The call queue, the table
 * of thread contexts, the places of shared memory and the timers are no such parts: their state is compared itself.
 *
 * A client is one part: its sessions, its memory, and what its threads know of them. Its invokes look at that, when they begin,
 * when their application looks at the memory that it was lent, and when they are back; everything else that it does may change
 * it. What an application computes for one client touches no other: locks of applications show as requests.
 */
export class Parts {
  /** By a client's label, and by the name of a further thread: the client whose session it is. */
  private readonly owners = new Map<string, string>();
  /** Invokes may make notifications pending. */
  private readonly invokesNotify: boolean;
  /** Clients with one thread, which is alone with all that they have. */
  private readonly alone: ReadonlySet<string>;
  /** Callers never have to wait for a thread of secure world. */
  private readonly threadsForAll: boolean;
  /** Nor for memory for their messages. */
  private readonly messagesForAll: boolean;
  /** No application has a lock, whose waiters wait by notifications of their own, and in order. */
  private readonly lockless: boolean;

  constructor({ clients, applications, secureWorld }: Scenario) {
    this.invokesNotify = [...applications.values()].some(
      (application) =>
        application.kind !== 'shipped' &&
        [...application.commands.values()].flat().some(({ step }) => step === 'notify'),
    );
    this.lockless = [...applications.values()].every(
      (application) => application.kind === 'pseudo' && application.concurrent,
    );
    const threads = new Map<string, number>();
    const notified =
      secureWorld.bottomHalf.length > 0 ||
      [...clients.values()].some(({ steps }) => steps.some(({ step }) => step === 'notify'));
    // Bottom halves come one at a time.
    let callers = notified || this.invokesNotify ? 1 : 0;
    for (const { name, count, callers: each, threadOf, application } of clients.values()) {
      const owner = threadOf ?? name;
      this.owners.set(name, owner);
      for (let index = 1; index <= count; index++) this.owners.set(`${name} ${index}`, owner);
      threads.set(owner, (threads.get(owner) ?? 0) + count * each);
      if (application !== undefined || threadOf !== undefined) callers += count * each;
    }
    this.alone = new Set([...threads].filter(([, count]) => count === 1).map(([owner]) => owner));
    this.threadsForAll = secureWorld.threads >= callers;
    this.messagesForAll = callers <= messagesInOnePage;
  }

  /**
   * A step after which everything is as if it had come at any later moment. So others need not be tried first: whatever they
   * do, it can follow.
   * - The way back with an answer, which does no more than bring its call before `resume`.
   * - The return of a call, where no caller ever has to wait for a thread: it gives back that alone.
   * - The taking of a message slot, where there is one for everybody, by the one thread of a client, or for a bottom half.
   */
  meetsNobody(
    actor: string,
    step: string,
    call: TouchingCall | undefined,
    sessionOf: (session: number) => string | undefined,
  ): boolean {
    if (step === resumption) return call !== undefined;
    if (step === 'return' && actor.startsWith('secure thread '))
      return this.threadsForAll && call !== undefined && returnsAlone.has(call.purpose);
    if (step !== 'take a message slot' || !this.messagesForAll) return false;
    const session = Number(actor.slice(actor.lastIndexOf(' ') + 1));
    return session === 0 || this.alone.has(this.owners.get(sessionOf(session) ?? '') ?? '');
  }

  /**
   * A step of a call, under no lock; nothing when it may touch everything. An answer to a request does no more than bring its
   * call before `resume`; what a bottom half asks for shows as requests, and how one ends says whether another follows.
   */
  ofStep(call: TouchingCall, step: string): readonly Touch[] | undefined {
    if (step === resumption || (call.purpose === 'bottom-half' && step === 'resume')) return [];
    return this.ofCall(call);
  }

  /** What becomes of a call as it begins and ends. */
  ofCall(call: TouchingCall): readonly Touch[] | undefined {
    switch (call.purpose) {
      case 'invoke':
        return this.invokesNotify
          ? [this.client(call.client, 'uses'), NOTIFICATIONS]
          : [this.client(call.client, 'uses')];
      case 'open-session':
      case 'close-session':
        return [this.client(call.client, 'changes'), APPLICATIONS];
      case 'bottom-half':
      case 'stop-notifications':
        return [NOTIFICATIONS];
      case 'register-shm':
      case 'unregister-shm':
        return [this.client(call.client, 'changes'), MEMORY];
      case 'cancel':
        return [this.client(call.client, 'changes')];
      case 'unknown':
        return undefined;
      default:
        return call.purpose satisfies never;
    }
  }

  /**
   * A step of somebody else; nothing when it may touch everything.
   * @param sessionOf the label of the client whose session this is.
   */
  ofActor(actor: string, sessionOf: (session: number) => string | undefined): readonly Touch[] | undefined {
    const [kind, ...rest] = actor.split(' ');
    const name = rest.join(' ');
    switch (kind) {
      case 'session': {
        const owner = sessionOf(Number(name));
        // Those of none are of bottom halves.
        if (Number(name) === 0) return [NOTIFICATIONS];
        return owner === undefined ? undefined : [this.client(owner, 'changes')];
      }
      case 'client':
        return [this.client(name, 'changes')];
      case 'memory':
        return [MEMORY];
      case 'supplicant':
        return [REQUESTS];
      case 'interrupt':
      case 'notifications':
        return [NOTIFICATIONS];
      default:
        return undefined;
    }
  }

  /** An RPC of a call, or its answer; `value`: the second of its first parameter, the one that a notification has. */
  ofRequest(command?: number, value?: number): readonly Touch[] {
    if (command !== RpcCommand.notification) return [REQUESTS];
    return value === undefined ? [] : [this.notified(value)];
  }

  /** An event that is no call's; nothing when it may touch everything. */
  ofEvent(event: TimedTraceEvent, sessionOf: (session: number) => string | undefined): readonly Touch[] | undefined {
    switch (event.type) {
      case 'session-open':
      case 'session-close':
        return [this.client(event.context, 'changes')];
      case 'system-session': {
        const owner = sessionOf(event.session);
        return owner === undefined ? undefined : [this.client(owner, 'changes')];
      }
      case 'invocation':
        return [this.client(event.context, 'uses')];
      case 'notification':
        return [event.value === asyncNotifDoBottomHalf ? NOTIFICATIONS : this.notified(event.value)];
      default:
        return undefined;
    }
  }

  /** Whether a value was sent, and who waits for it. */
  private notified(value: number): Touch {
    return this.lockless ? { part: `notification ${value}`, how: 'changes' } : NOTIFICATIONS;
  }

  private client(label: string, how: Touch['how']): Touch {
    return { part: `client ${this.owners.get(label) ?? label}`, how };
  }
}
