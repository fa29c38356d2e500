import { RpcCommand } from '../../../protocol/optee-rpc-command.js';
import { asyncNotifDoBottomHalf, OpteeSmc, smcName } from '../../../protocol/optee-smc.js';
import type { Scenario } from '../../../scenario/scenario.js';
import type { CallPurpose, TimedTraceEvent } from '../../../trace/trace.js';

/** An access of a step to a part of the system: it changes the part, or only reads it or increments a counter. */
export interface Touch {
  readonly part: string;
  readonly how: 'changes' | 'uses';
}

/** The properties of a call that determine which parts its steps access. */
export interface TouchingCall {
  readonly purpose: CallPurpose;
  /** The label of its context. */
  readonly client: string;
}

/** The step with which a call re-enters secure world with an answer. */
const resumption = smcName(OpteeSmc.returnFromRpc);

/** Fewer messages than fit into one page, which is allocated when the first session is opened. */
const messagesInOnePage = 8;

/** Calls whose return is not observed by any other part. */
const returnsAlone: ReadonlySet<CallPurpose> = new Set(['invoke', 'open-session', 'close-session', 'bottom-half']);

/** Interrupts, pending notifications, and bottom halves. */
const NOTIFICATIONS: Touch = { part: 'notifications', how: 'changes' };
/** The applications that have sessions, and memory that an opening allocates and a close releases. */
const APPLICATIONS: Touch = { part: 'applications', how: 'changes' };
/** Requests of secure world, and the state of the supplicant and its services. */
const REQUESTS: Touch = { part: 'requests', how: 'changes' };
/** Registrations in progress. The addresses of memory are in the state itself. */
const MEMORY: Touch = { part: 'memory', how: 'changes' };

/**
 * The parts of the system that each step of a run accesses, for scenarios that the file describes completely. The call
 * queue, the table of thread contexts, the addresses of shared memory and the timers are not parts; their state is
 * compared directly.
 *
 * A client is one part: its sessions, its memory, and what its threads know about them. Its invokes read this part at
 * their beginning, when their application reads the shared memory, and at their return. Everything else that the client
 * does may change it. The computation of an application for one client does not access other clients; locks of
 * applications appear as requests.
 */
export class Parts {
  /** The client that owns the session, by the label of a client or the name of a further thread. */
  private readonly owners = new Map<string, string>();
  /** Invokes may make notifications pending. */
  private readonly invokesNotify: boolean;
  /** Clients with a single thread, which does not share their resources. */
  private readonly alone: ReadonlySet<string>;
  /** There are enough threads of secure world for all callers. */
  private readonly threadsForAll: boolean;
  /** There is enough memory for the messages of all callers. */
  private readonly messagesForAll: boolean;
  /** No application has a lock. Tasks that wait for a lock use notifications of their own, in order. */
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
    // There is at most one bottom half at a time.
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
   * Whether a step is independent of all others: it has the same effect at any later moment. So it can be executed
   * first, and no other order needs to be tried. - A resume with an answer: it only brings its call to the point
   * `resume`. - The return of a call, if there are enough threads for all callers: it only releases its thread. - The
   * allocation of a message slot, if there are enough for all, by a client with one thread or for a bottom half.
   */
  isIndependent(
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
   * The accesses of a call's step outside the queue's lock; undefined if it may access everything. A resume with an
   * answer only brings its call to the point `resume`. The requests of a bottom half appear as requests, and its end
   * shows whether another one follows.
   */
  ofStep(call: TouchingCall, step: string): readonly Touch[] | undefined {
    if (step === resumption || (call.purpose === 'bottom-half' && step === 'resume')) return [];
    return this.ofCall(call);
  }

  /** The accesses of a call when it begins and ends. */
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
   * The accesses of a step of another actor; undefined if it may access everything.
   * @param sessionOf the label of the client that owns a session.
   */
  ofActor(actor: string, sessionOf: (session: number) => string | undefined): readonly Touch[] | undefined {
    const [kind, ...rest] = actor.split(' ');
    const name = rest.join(' ');
    switch (kind) {
      case 'session': {
        const owner = sessionOf(Number(name));
        // A message slot without a session is for a bottom half.
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

  /**
   * The accesses of an RPC or its answer. @param value the second value of its first parameter: the notification value.
   */
  ofRequest(command?: number, value?: number): readonly Touch[] {
    if (command !== RpcCommand.notification) return [REQUESTS];
    return value === undefined ? [] : [this.notified(value)];
  }

  /** The accesses of an event without a call; undefined if it may access everything. */
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

  /** Whether a notification value was sent, and which task waits for it. */
  private notified(value: number): Touch {
    return this.lockless ? { part: `notification ${value}`, how: 'changes' } : NOTIFICATIONS;
  }

  private client(label: string, how: Touch['how']): Touch {
    return { part: `client ${this.owners.get(label) ?? label}`, how };
  }
}
