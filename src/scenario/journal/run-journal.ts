import type { Random } from '../../clock/random.js';
import { RpcCommand, RpcNotification } from '../../protocol/optee-rpc-command.js';
import type { TeeShm } from '../../tee/tee-shm.js';
import type { CallPurpose, TimedTraceEvent } from '../../trace/trace.js';
import { leastNumbered, numberBytes, numberOffset } from './invocation-number.js';
import type { Lock, LockTask } from './locks.js';

/** Who acts in the normal world, and may hold its locks. */
export type Task = LockTask<OpenCall>;

/** A client asks its session for a command: from there to the answer. Opening the session is one, too. */
export interface Invocation {
  readonly number: number;
  /** The kind of client: its name in the scenario. */
  readonly client: string;
  /** Which of them: the label of its context. */
  readonly label: string;
  readonly application: string;
  readonly command: string;
  /** Who makes it. */
  readonly task: Task;
  /** Who gets a processor first: the higher. */
  readonly priority: number;
  readonly begun: number;
  /** Times that this invocation draws come from here, so that they are the same under every discipline. */
  readonly random: Random;
  /** The driver's call that carries it; none while memory for its message must be registered first. */
  call: OpenCall | undefined;
  /** The application's code executes for it. */
  executing: boolean;
  /** It waits in its code for a notification, at most `timeout` milliseconds where that is not 0. */
  awaits: { readonly notification: number; readonly timeout: number } | undefined;
  /** What it sleeps for inside OP-TEE, where the scenario knows, and the invocations that have it. */
  sleepsFor: { readonly what: string; readonly holders: () => readonly Invocation[] } | undefined;
  /** Shared memory that secure world has for it, and until when it is nobody else's. */
  lent: TeeShm | undefined;
}

type InvocationDescription = Pick<
  Invocation,
  'client' | 'label' | 'application' | 'command' | 'task' | 'priority' | 'random'
>;

/** An RPC that a service of the scenario answers, or a device. */
export interface ServiceRequest {
  readonly number: number;
  readonly invocation: Invocation;
  /** Who serves it. */
  readonly task: Task;
  /** What serves it, where that is a device and no service of the scenario. */
  readonly device?: string;
  /** What it waits for, and since when: see `RunJournal.waitFor`. */
  waits: ServiceWait;
  since: number;
}

export type ServiceWait =
  /** Nobody has taken it. */
  | { readonly for: 'supplicant' }
  /** An exclusive service that serves another. */
  | { readonly for: 'turn'; readonly holder: () => ServiceRequest | undefined }
  | { readonly for: 'time' }
  | { readonly for: 'lock'; readonly lock: Lock<OpenCall> }
  /** A passive client that makes a call for another. */
  | { readonly for: 'client'; readonly client: string; readonly holder: () => ServiceRequest | undefined }
  | { readonly for: 'invocation'; readonly invocation: Invocation }
  /** Nothing that will come. */
  | { readonly for: 'never' };

export type CallState =
  /** On its way to the queue, or from it to secure world, or back from there. */
  | { readonly at: 'door' }
  /** `limit`: secure world had answered ETHREAD_LIMIT. `freeBefore`: see `OpenCall.besideFree`. */
  | { readonly at: 'queue'; readonly limit: boolean; readonly since: number; readonly freeBefore: number }
  | { readonly at: 'secure' }
  /** `a`: the first value of the RPC's first parameter, where it has one. */
  | {
      readonly at: 'rpc';
      readonly command: number | undefined;
      readonly a: number | undefined;
      readonly request: ServiceRequest | undefined;
      readonly since: number;
    };

/** A call of the driver that has not ended. */
export interface OpenCall {
  readonly id: number;
  readonly label: string;
  readonly purpose: CallPurpose;
  readonly system: boolean;
  readonly begun: number;
  readonly invocation: Invocation | undefined;
  state: CallState;
  /** The thread context that it holds. */
  thread: number | undefined;
  /** Milliseconds in the queue. */
  asleep: number;
  /** Those of them during which a thread that it may use was free. */
  besideFree: number;
  /** Calls of its class that began later and ended while it slept. */
  overtaken: number;
  /** The last wake-up of another's return that went to a call that did not sleep, while this one did. */
  passedOver: SwallowedWakeUp | undefined;
}

/** A call returned while others slept, and its wake-up went to one that was awake. */
export interface SwallowedWakeUp {
  readonly time: number;
  /** The call that returned, and the one that got the wake-up. */
  readonly from: OpenCall;
  readonly to: OpenCall;
  /** It was inside secure world; else on its way there. */
  readonly inside: boolean;
}

/** How long a thread that a call of this class may use was free so far, in milliseconds. */
export type FreeTime = (system: boolean) => number;

/** What is going on in a run, as far as explanations need it: kept from the trace, and by those who act in it. */
export class RunJournal {
  readonly calls = new Map<number, OpenCall>();
  readonly requests = new Map<number, ServiceRequest>();
  /** Calls whose threads sleep inside OP-TEE for something that another call has there. */
  readonly asleepInside = new Set<OpenCall>();
  private readonly invocations = new Map<number, Invocation>();
  /** Invocations without a call yet, oldest first. */
  private readonly withoutCall: Invocation[] = [];
  private beginning: Invocation | undefined;
  /** Milliseconds, by client. */
  private readonly registering = new Map<string, number>();
  private lastInvocation = 0;
  private lastRequest = 0;
  /**
   * The last wake-up that a call gave to one that does not sleep, and who gave it: Linux's queues keep sleepers and callers
   * inside on one list. A call gives its wake-ups as it leaves the queue, just before it ends.
   */
  private uselessWakeUp: { readonly by: number; readonly to: OpenCall; readonly inside: boolean } | undefined;
  /** Calls asleep in the queue. */
  asleep = 0;
  /** System calls that entered when no other thread was free. */
  enteredByReserve = 0;
  swallowed = 0;
  /** Memory that was given back while secure world had it, and what was written and did not arrive, in words. */
  readonly memoryGone: string[] = [];
  readonly notArrived: string[] = [];

  constructor(
    private readonly now: () => number,
    private readonly freeTime: FreeTime,
  ) {}

  /** Follow an invocation from its start, by the function given, to its end. */
  async invocation<T>(about: InvocationDescription, start: (invocation: Invocation) => Promise<T>): Promise<T> {
    const number = ++this.lastInvocation;
    const invocation: Invocation = {
      ...about,
      number,
      begun: this.now(),
      call: undefined,
      executing: false,
      awaits: undefined,
      sleepsFor: undefined,
      lent: undefined,
    };
    this.invocations.set(number, invocation);
    this.beginning = invocation;
    const ended = start(invocation);
    this.beginning = undefined;
    // The driver begins a call in the same turn, unless it has to find memory for the message first.
    if (invocation.call === undefined) this.withoutCall.push(invocation);
    try {
      return await ended;
    } finally {
      this.invocations.delete(number);
      this.takeFromWaiting(invocation);
    }
  }

  /** Invocations that have not ended. */
  get openInvocations(): Iterable<Invocation> {
    return this.invocations.values();
  }

  /** The number of the last invocation so far. */
  get last(): number {
    return this.lastInvocation;
  }

  /** Secure world is about to have this memory for an invocation, until it ends. */
  lend(invocation: number, shm: TeeShm): void {
    const found = this.invocations.get(invocation);
    if (found !== undefined) found.lent = shm;
  }

  /** Secure world executes for an invocation: the memory that it was lent must not have been given back meanwhile. */
  checkLent({ number, label, lent }: Invocation): void {
    if (lent?.released === true)
      this.memoryGone.push(`memory of ${label} was released while secure world used it for its invocation ${number}`);
  }

  /** An invocation ended well: what its application wrote into the memory that it was lent is there. */
  checkArrived(number: number, memory: Uint8Array): void {
    if (memory.length < leastNumbered) return;
    const offset = numberOffset(number, memory.length);
    const expected = numberBytes(number);
    if (expected.some((octet, at) => memory[offset + at] !== octet))
      this.notArrived.push(`the data that invocation ${number} wrote is not in its client's memory`);
  }

  findInvocation(number: number): Invocation | undefined {
    return this.invocations.get(number);
  }

  beginRequest(invocation: Invocation): ServiceRequest {
    const request: ServiceRequest = {
      number: ++this.lastRequest,
      invocation,
      task: servantOf(invocation),
      waits: { for: 'supplicant' },
      since: this.now(),
    };
    this.requests.set(request.number, request);
    return request;
  }

  /**
   * A device begins to serve an RPC: that of the call which waits for one of these commands.
   * @param device its name, for reports.
   * @param inCaller the task that made the call serves it itself, inside the kernel.
   */
  beginDeviceRequest(commands: readonly number[], device: string, inCaller: boolean): ServiceRequest | undefined {
    for (const call of this.calls.values()) {
      const { state, invocation } = call;
      if (state.at !== 'rpc' || state.request !== undefined || invocation === undefined) continue;
      if (state.command === undefined || !commands.includes(state.command)) continue;
      const request: ServiceRequest = {
        number: ++this.lastRequest,
        invocation,
        task: inCaller ? invocation.task : servantOf(invocation),
        device,
        waits: { for: 'time' },
        since: this.now(),
      };
      call.state = { ...state, request };
      this.requests.set(request.number, request);
      return request;
    }
    return undefined;
  }

  /** From now on a request waits for this. */
  waitFor(request: ServiceRequest, waits: ServiceWait): void {
    request.waits = waits;
    request.since = this.now();
  }

  endRequest(request: ServiceRequest): void {
    this.requests.delete(request.number);
  }

  /** How long calls slept in the queue that registered memory for a client, so far. */
  sleptToRegister(label: string): number {
    return this.registering.get(label) ?? 0;
  }

  /** How long a call that still sleeps has slept, and how much of it beside a free thread. */
  sleepOf(call: OpenCall): { readonly asleep: number; readonly besideFree: number } {
    const { asleep, besideFree, state } = call;
    if (state.at !== 'queue') return { asleep, besideFree };
    return {
      asleep: asleep + this.now() - state.since,
      besideFree: besideFree + this.freeTime(call.system) - state.freeBefore,
    };
  }

  record(event: TimedTraceEvent): void {
    if (event.type === 'call-begin') {
      this.beginCall(event);
      return;
    }
    const call = 'call' in event ? this.calls.get(event.call) : undefined;
    if (call === undefined) return;
    if (event.type === 'rpc-end') this.asleepInside.delete(call);
    switch (event.type) {
      case 'queue-sleep':
        this.asleep++;
        call.state = {
          at: 'queue',
          limit: event.limit,
          since: event.time,
          freeBefore: this.freeTime(call.system),
        };
        break;
      case 'queue-wake': {
        if (!event.asleep) {
          // Of two that one gives, the first was meant for a sleeper.
          if (this.uselessWakeUp?.by !== event.by || event.by === 0)
            this.uselessWakeUp = { by: event.by, to: call, inside: isInside(call) };
          break;
        }
        const { asleep, besideFree } = this.sleepOf(call);
        this.asleep--;
        call.asleep = asleep;
        call.besideFree = besideFree;
        call.state = { at: 'door' };
        break;
      }
      case 'world-enter':
        call.state = { at: 'secure' };
        break;
      case 'world-exit':
        if (event.thread !== undefined) {
          call.state = { at: 'rpc', command: undefined, a: undefined, request: undefined, since: event.time };
        } else {
          // Refused, or back for good, which may be some time before it ends: others run before it leaves the queue.
          call.state = { at: 'door' };
          call.thread = undefined;
        }
        break;
      case 'rpc-begin':
        call.state = {
          at: 'rpc',
          command: event.command,
          a: event.a,
          // The applications of a scenario put the request's number into the RPC's first value.
          request: event.b === undefined ? undefined : this.requestOf(event.b, call),
          since: event.time,
        };
        if (
          event.command === RpcCommand.notification &&
          event.a === RpcNotification.wait &&
          call.invocation?.awaits === undefined
        )
          this.asleepInside.add(call);
        break;
      case 'call-end':
        this.calls.delete(call.id);
        this.asleepInside.delete(call);
        if (call.purpose === 'register-shm' && call.asleep > 0)
          this.registering.set(call.label, this.sleptToRegister(call.label) + call.asleep);
        if (this.asleep > 0) {
          this.countOvertaken(call);
          if (this.uselessWakeUp?.by === call.id) {
            const { to, inside } = this.uselessWakeUp;
            this.noteSwallowed({ time: event.time, from: call, to, inside });
          }
        }
        break;
      default:
        break;
    }
  }

  private countOvertaken(ended: OpenCall): void {
    for (const call of this.calls.values()) {
      // In the order in which they began.
      if (call.id > ended.id) return;
      if (call.state.at === 'queue' && call.system === ended.system) call.overtaken++;
    }
  }

  /** A call returned, its wake-up went to one that was awake, and others sleep on. */
  private noteSwallowed(swallowed: SwallowedWakeUp): void {
    this.swallowed++;
    for (const call of this.calls.values()) if (call.state.at === 'queue') call.passedOver = swallowed;
  }

  private requestOf(number: number, call: OpenCall): ServiceRequest | undefined {
    const request = this.requests.get(number);
    return request?.invocation === call.invocation ? request : undefined;
  }

  private beginCall(event: TimedTraceEvent & { readonly type: 'call-begin' }): void {
    const own = event.purpose === 'invoke' || event.purpose === 'open-session';
    const invocation = own
      ? (this.beginning ??
        this.withoutCall.find(({ label }) => label === event.context) ??
        this.onlyOneOf(event.context))
      : undefined;
    const call: OpenCall = {
      id: event.call,
      label: event.context,
      purpose: event.purpose,
      system: event.system,
      begun: event.time,
      invocation,
      state: { at: 'door' },
      thread: undefined,
      asleep: 0,
      besideFree: 0,
      overtaken: 0,
      passedOver: undefined,
    };
    this.calls.set(call.id, call);
    if (invocation === undefined) return;
    invocation.call = call;
    this.takeFromWaiting(invocation);
  }

  /** An invocation of several calls, where there is no doubt whose the next is. */
  private onlyOneOf(client: string): Invocation | undefined {
    const open = [...this.openInvocations].filter(({ label }) => label === client);
    return open.length === 1 ? open[0] : undefined;
  }

  private takeFromWaiting(invocation: Invocation): void {
    const index = this.withoutCall.indexOf(invocation);
    if (index >= 0) this.withoutCall.splice(index, 1);
  }
}

/** The supplicant, as far as it is at this. */
function servantOf(invocation: Invocation): Task {
  return { name: `the supplicant for ${invocation.label}`, call: () => invocation.call, waitsFor: undefined };
}

function isInside({ state }: OpenCall): boolean {
  return state.at === 'secure' || state.at === 'rpc';
}
