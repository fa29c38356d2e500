import type { Random } from '../../clock/random.js';
import { RpcCommand, RpcNotification } from '../../protocol/optee-rpc-command.js';
import type { TeeShm } from '../../tee/tee-shm.js';
import type { CallPurpose, TimedTraceEvent } from '../../trace/trace.js';
import { leastNumbered, numberBytes, numberOffset } from './invocation-number.js';
import type { Lock, LockTask } from './locks.js';

/** A task of the normal world, which can hold locks. */
export type Task = LockTask<OpenCall>;

/** A client's command to its session, from the request to the answer. Opening the session is an invocation, too. */
export interface Invocation {
  readonly number: number;
  /** The kind of client: its name in the scenario. */
  readonly client: string;
  /** The single client: the label of its context. */
  readonly label: string;
  readonly application: string;
  readonly command: string;
  /** The task that makes it. */
  readonly task: Task;
  /** Tasks with a higher priority get a processor first. */
  readonly priority: number;
  readonly begun: number;
  /** The source of this invocation's times. It is separate, so that the times are the same under every discipline. */
  readonly random: Random;
  /** The driver's call that carries it; undefined while memory for its message is being registered. */
  call: OpenCall | undefined;
  /** Whether the application's code executes for it. */
  executing: boolean;
  /** The notification for which its code waits, at most `timeout` milliseconds; 0: no limit. */
  awaits: { readonly notification: number; readonly timeout: number } | undefined;
  /** The resource inside OP-TEE for which it sleeps, if the scenario knows it, and the invocations that hold it. */
  sleepsFor: { readonly what: string; readonly holders: () => readonly Invocation[] } | undefined;
  /** Shared memory that secure world has for it; nothing else may use the memory until the invocation ends. */
  lent: TeeShm | undefined;
}

type InvocationDescription = Pick<
  Invocation,
  'client' | 'label' | 'application' | 'command' | 'task' | 'priority' | 'random'
>;

/** An RPC that a service of the scenario, or a device, answers. */
export interface ServiceRequest {
  readonly number: number;
  readonly invocation: Invocation;
  /** The task that serves it. */
  readonly task: Task;
  /** The name of the device that serves it; undefined for a service of the scenario. */
  readonly device?: string;
  /** What it waits for, and since when: see `RunJournal.waitFor`. */
  waits: ServiceWait;
  since: number;
}

export type ServiceWait =
  /** No supplicant thread has received it. */
  | { readonly for: 'supplicant' }
  /** The service is exclusive and serves another request. */
  | { readonly for: 'turn'; readonly holder: () => ServiceRequest | undefined }
  | { readonly for: 'time' }
  | { readonly for: 'lock'; readonly lock: Lock<OpenCall> }
  /** The passive client makes a call for another request. */
  | { readonly for: 'client'; readonly client: string; readonly holder: () => ServiceRequest | undefined }
  | { readonly for: 'invocation'; readonly invocation: Invocation }
  /** It will never be answered. */
  | { readonly for: 'never' };

/** The position of a call of the driver. */
export type CallState =
  /** In the driver: before the queue, between the queue and secure world, or after the return. */
  | { readonly at: 'door' }
  /** `limit`: secure world had answered ETHREAD_LIMIT. `freeBefore`: see `OpenCall.besideFree`. */
  | { readonly at: 'queue'; readonly limit: boolean; readonly since: number; readonly freeBefore: number }
  | { readonly at: 'secure' }
  /** `a`: value a of the RPC's first parameter, if it has one. */
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
  /** Milliseconds asleep in the queue. */
  asleep: number;
  /** Milliseconds of them during which a thread that it may use was free. */
  besideFree: number;
  /** The number of calls of its class that began later and ended while it slept. */
  overtaken: number;
  /** The last wake-up, while this call slept, that a returning call gave to a call that did not sleep. */
  passedOver: SwallowedWakeUp | undefined;
}

/** A wake-up that a returning call gave to a call that was awake, while others slept. */
export interface SwallowedWakeUp {
  readonly time: number;
  /** The call that returned, and the call that got the wake-up. */
  readonly from: OpenCall;
  readonly to: OpenCall;
  /** `to` was inside secure world; otherwise on its way there. */
  readonly inside: boolean;
}

/** Milliseconds so far during which a thread that a call of this class may use was free. */
export type FreeTime = (system: boolean) => number;

/** The state of a run, as far as explanations need it. It is fed by the trace and by the components of the run. */
export class RunJournal {
  readonly calls = new Map<number, OpenCall>();
  readonly requests = new Map<number, ServiceRequest>();
  /** Calls whose threads sleep inside OP-TEE for a resource that another call holds there. */
  readonly asleepInside = new Set<OpenCall>();
  private readonly invocations = new Map<number, Invocation>();
  /** Invocations without a call yet, oldest first. */
  private readonly withoutCall: Invocation[] = [];
  private beginning: Invocation | undefined;
  /** Milliseconds that calls for registering memory slept, by client. */
  private readonly registering = new Map<string, number>();
  private lastInvocation = 0;
  private lastRequest = 0;
  /**
   * The last wake-up that a call gave to one that does not sleep: Linux's queues have sleeping calls and calls inside
   * secure world on one list. A call gives its wake-ups when it leaves the queue, just before it ends.
   */
  private uselessWakeUp: { readonly by: number; readonly to: OpenCall; readonly inside: boolean } | undefined;
  /** The number of calls asleep in the queue. */
  asleep = 0;
  /** System calls that entered when only a reserved thread was free. */
  enteredByReserve = 0;
  swallowed = 0;
  /** Errors as sentences: memory that was released while secure world had it, and data that did not arrive. */
  readonly memoryGone: string[] = [];
  readonly notArrived: string[] = [];

  constructor(
    private readonly now: () => number,
    private readonly freeTime: FreeTime,
  ) {}

  /** Track an invocation; `start` makes the call. */
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
    // The driver begins the call in the same turn, unless it must first find memory for the message.
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

  /** The number of the latest invocation. */
  get last(): number {
    return this.lastInvocation;
  }

  /** Secure world gets this memory for an invocation, until the invocation ends. */
  lend(invocation: number, shm: TeeShm): void {
    const found = this.invocations.get(invocation);
    if (found !== undefined) found.lent = shm;
  }

  /** Secure world executes for an invocation: the memory that it was given must not have been released. */
  checkLent({ number, label, lent }: Invocation): void {
    if (lent?.released === true)
      this.memoryGone.push(`memory of ${label} was released while secure world used it for its invocation ${number}`);
  }

  /** An invocation succeeded: check that the memory contains what its application wrote. */
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
      task: supplicantTask(invocation),
      waits: { for: 'supplicant' },
      since: this.now(),
    };
    this.requests.set(request.number, request);
    return request;
  }

  /**
   * A device begins to serve an RPC: the one of the call that waits for one of `commands`.
   * @param inCaller the kernel serves it in the task that made the call.
   */
  beginDeviceRequest(commands: readonly number[], device: string, inCaller: boolean): ServiceRequest | undefined {
    for (const call of this.calls.values()) {
      const { state, invocation } = call;
      if (state.at !== 'rpc' || state.request !== undefined || invocation === undefined) continue;
      if (state.command === undefined || !commands.includes(state.command)) continue;
      const request: ServiceRequest = {
        number: ++this.lastRequest,
        invocation,
        task: inCaller ? invocation.task : supplicantTask(invocation),
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

  /** Record what a request waits for from now on. */
  waitFor(request: ServiceRequest, waits: ServiceWait): void {
    request.waits = waits;
    request.since = this.now();
  }

  endRequest(request: ServiceRequest): void {
    this.requests.delete(request.number);
  }

  /** Milliseconds so far that calls for registering memory of a client slept in the queue. */
  sleptToRegister(label: string): number {
    return this.registering.get(label) ?? 0;
  }

  /** Milliseconds that a sleeping call has slept, and how many of them a thread was free for it. */
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
          // If a call gives two wake-ups, the first one was meant for a sleeper.
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
          // Refused, or returned. The call may end later, since others run before it leaves the queue.
          call.state = { at: 'door' };
          call.thread = undefined;
        }
        break;
      case 'rpc-begin':
        call.state = {
          at: 'rpc',
          command: event.command,
          a: event.a,
          // The applications of a scenario pass the number of their request in the RPC's first value.
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
      // Only calls that began earlier are overtaken.
      if (call.id > ended.id) return;
      if (call.state.at === 'queue' && call.system === ended.system) call.overtaken++;
    }
  }

  /** A call returned and its wake-up went to an awake call, while others sleep. */
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
        this.onlyOpenInvocation(event.context))
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

  /** The invocation of a client that has only one open; with several, it is not known whose call comes next. */
  private onlyOpenInvocation(client: string): Invocation | undefined {
    const open = [...this.openInvocations].filter(({ label }) => label === client);
    return open.length === 1 ? open[0] : undefined;
  }

  private takeFromWaiting(invocation: Invocation): void {
    const index = this.withoutCall.indexOf(invocation);
    if (index >= 0) this.withoutCall.splice(index, 1);
  }
}

/** The supplicant, as the task that serves an invocation. */
function supplicantTask(invocation: Invocation): Task {
  return { name: `the supplicant for ${invocation.label}`, call: () => invocation.call, waitsFor: undefined };
}

function isInside({ state }: OpenCall): boolean {
  return state.at === 'secure' || state.at === 'rpc';
}
