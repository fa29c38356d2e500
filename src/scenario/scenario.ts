import type { DisciplineName } from '../optee/call-queue/call-queue.js';
import { RpcCommand } from '../protocol/optee-rpc-command.js';
import type { Duration } from './duration.js';
import type { Expectation } from './expectation.js';
import type { AnswerFault } from './faults/run-faults.js';

/**
 * A checked workload for a simulated secure world: all references in it are valid. Times are in milliseconds.
 * docs/scenarios.md describes the file format.
 */
export interface Scenario {
  readonly title: string;
  /** A description; may be empty. */
  readonly about: string;
  /** The default disciplines to run under. */
  readonly queues: readonly DisciplineName[];
  /** The expected outcomes; a discipline that is not named has no expectation. */
  readonly expect: Expectation;
  /** Virtual time after which a run ends. */
  readonly limit: number;
  /** Time that a task of the normal world loses at each point where another task could preempt it. */
  readonly preemption: Duration;
  /** The number of processors for computation in either world; undefined: no limit. */
  readonly cpus: number | undefined;
  /** Whether a thread is reserved for the driver's relief calls, under disciplines that support it. */
  readonly reserve: boolean;
  readonly secureWorld: SecureWorldSettings;
  readonly locks: ReadonlyMap<string, ScenarioLock>;
  readonly supplicant: SupplicantSettings;
  readonly applications: ReadonlyMap<string, ScenarioApplication>;
  readonly services: ReadonlyMap<ServiceName, ScenarioService>;
  readonly emmc: ScenarioEmmc | undefined;
  readonly clients: ReadonlyMap<string, ScenarioClient>;
  readonly faults: ScenarioFaults;
}

export interface SecureWorldSettings {
  /** The number of thread contexts. */
  readonly threads: number;
  /** The answer of GET_THREAD_COUNT, which can differ from `threads`; 0: the function is unknown. */
  readonly announced: number;
  /** The ABI of OP-TEE. Over FF-A the number of threads is not announced. */
  readonly abi: 'smc' | 'ffa';
  /**
   * Whether it has reserved shared memory, in which messages are placed. If not, and over FF-A, calls register pages
   * for messages.
   */
  readonly reservedShm: boolean;
  /** The steps of secure world's drivers in a bottom half. */
  readonly bottomHalf: readonly BottomHalfStep[];
}

/** A mutex of the normal world (the clocks' prepare lock, a claimed host), or of OP-TEE. */
export interface ScenarioLock {
  readonly world: 'normal' | 'secure';
  /** Whether its holder may take it again. */
  readonly reentrant: boolean;
}

/** The supplicant process. */
export interface SupplicantSettings {
  /** The number of requests that it serves concurrently; Infinity: no limit. */
  readonly threads: number;
  /** The time to read an image, and to allocate memory for secure world. */
  readonly loadTa: Duration;
  readonly allocate: Duration;
}

export type BottomHalfStep = Extract<ApplicationStep, { readonly step: 'compute' | 'notify' }>;

export type ScenarioApplication = ModelledApplication | ShippedApplication;

/** Applications that come with the simulated world, by their names in scenarios. */
export const SHIPPED_APPLICATIONS = ['storage', 'rpmb-storage', 'counter', 'scmi', 'device-enumeration'] as const;

/** A shipped application. */
export interface ShippedApplication {
  readonly name: string;
  readonly kind: 'shipped';
  readonly use: (typeof SHIPPED_APPLICATIONS)[number];
  /** Milliseconds for which each of its commands computes first. */
  readonly compute: number;
  /** The devices of an SCMI service. */
  readonly clocks: readonly string[];
  readonly regulators: readonly string[];
  readonly resets: readonly string[];
}

/** An application whose commands the scenario describes. */
export interface ModelledApplication {
  readonly name: string;
  readonly kind: 'user' | 'pseudo';
  /** TA_FLAG_CONCURRENT of a pseudo-TA: its sessions execute concurrently. */
  readonly concurrent: boolean;
  readonly singleInstance: boolean;
  readonly multiSession: boolean;
  /** Whether OP-TEE lists it as a device: always, or when a supplicant is running. */
  readonly device: 'always' | 'with-supplicant' | undefined;
  /** Whether it can be cancelled: TEE_UnmaskCancellation at the start of each command. */
  readonly cancellable: boolean;
  readonly commands: ReadonlyMap<string, readonly ApplicationStep[]>;
}

export type ApplicationStep =
  /** Computes in secure world. */
  | { readonly step: 'compute'; readonly time: Duration }
  /** TEE_Wait: the thread context stays allocated, while the processor is in the normal world. */
  | { readonly step: 'wait'; readonly time: Duration }
  /** An RPC that a service of the scenario answers. */
  | { readonly step: 'rpc'; readonly service: ServiceName }
  /** Sleeps until this notification value (1..63) is sent, at most `timeout` milliseconds; 0: no limit. */
  | { readonly step: 'await'; readonly notification: number; readonly timeout: number }
  /** Sends a notification value, by an RPC. */
  | { readonly step: 'notify'; readonly notification: number }
  /** Invokes a command of another application, in a session that stays open as long as its own. */
  | { readonly step: 'invoke'; readonly application: string; readonly command: string }
  | HoldStep<ApplicationStep>;

/** Executes steps with a lock held. */
export interface HoldStep<Step> {
  readonly step: 'hold';
  readonly lock: string;
  readonly steps: readonly Step[];
}

/** RPC commands that a scenario can answer, by their names in scenarios. */
export const SERVICES = {
  rpmb: RpcCommand.rpmb,
  fs: RpcCommand.fs,
  socket: RpcCommand.socket,
  plugin: RpcCommand.plugin,
  /** A transfer on an I2C bus. The kernel makes it in the task that made the call. */
  i2c: RpcCommand.i2cTransfer,
} as const;
export type ServiceName = keyof typeof SERVICES;

export interface ScenarioService {
  /** Serves one request at a time, in order of arrival, like a device that is claimed. */
  readonly exclusive: boolean;
  readonly steps: readonly ServiceStep[];
}

export type ServiceStep =
  | { readonly step: 'wait'; readonly time: Duration }
  /** A passive client makes a call, and the request waits for it. */
  | { readonly step: 'invoke'; readonly client: string; readonly command: string }
  /** The request is never answered. */
  | { readonly step: 'never' }
  | HoldStep<ServiceStep>;

/** An emulated eMMC card with an RPMB partition, in a host that switches it on for each access. */
export interface ScenarioEmmc {
  /** The route of its frames. */
  readonly rpmb: 'kernel' | 'supplicant';
  /** Milliseconds per access. */
  readonly access: number;
  /** The clocks and regulators that it needs, in the order of switching on. */
  readonly needs: readonly string[];
  /** The passive client that requests them; undefined if nothing is needed. */
  readonly agent: string | undefined;
  /** The lock held during a whole access, and the one held during each switching. */
  readonly claim: string | undefined;
  readonly switching: string | undefined;
}

export interface ScenarioClient {
  readonly name: string;
  /** In the kernel; otherwise in user space. */
  readonly kernel: boolean;
  /** Its sessions request to be system sessions. */
  readonly system: boolean;
  /** Undefined for a client that stands for a device of secure world, which makes no calls. */
  readonly application: string | undefined;
  /** All applications that it has a session with; `application` is the first. */
  readonly applications: readonly string[];
  /** If there are too few processors, the higher priority runs first. */
  readonly priority: number;
  /** Each client of the kind begins this much later than the one before. */
  readonly stagger: number;
  /** It cancels a call that takes longer. */
  readonly timeout: number | undefined;
  /** It opens its session at the start of each round and closes it at the end, like a command-line tool. */
  readonly sessionEachRound: boolean;
  /** Bytes of shared memory that it passes with every call; 0: none. */
  readonly sharedMemory: number;
  /** It is a further thread of this client, and uses that client's session and memory. */
  readonly threadOf: string | undefined;
  /** It makes calls only for services and devices, one at a time. */
  readonly passive: boolean;
  /** The transport of an SCMI agent's messages. */
  readonly transport: 'msg' | 'smt';
  /** The number of such clients, each with its own context and session. */
  readonly count: number;
  /** The number of threads of each client that use its session concurrently. */
  readonly callers: number;
  /** The number of rounds of each caller; Infinity for `forever`. */
  readonly repeat: number;
  /** Time from one start of the steps to the next. A round starts late if the previous one took longer. */
  readonly every: Duration | undefined;
  /** Time before the first round. */
  readonly start: Duration;
  /** A call that takes longer counts as late. */
  readonly deadline: number | undefined;
  readonly steps: readonly ClientStep[];
}

export type ClientStep =
  | { readonly step: 'invoke'; readonly application: string; readonly command: string }
  | { readonly step: 'wait'; readonly time: Duration }
  /** Waits until this time after the start of the run; does nothing if it is past. */
  | { readonly step: 'until'; readonly time: number }
  /** Computes in the normal world. */
  | { readonly step: 'compute'; readonly time: Duration }
  | HoldStep<ClientStep>
  /** An interrupt handler of secure world sends this notification value; 0 requests bottom half processing. */
  | { readonly step: 'notify'; readonly notification: number }
  /** Closes its session; frees its shared memory; requests a system session; opens a session again. */
  | { readonly step: 'close' | 'free' | 'system' | 'open' };

export interface ScenarioFaults {
  /** The nth RPC (from 1) of this kind is never answered. */
  readonly unanswered: readonly { readonly rpc: ServiceName; readonly nth: number }[];
  /** The application panics in the nth invoke (from 1) of this command. */
  readonly panics: readonly { readonly application: string; readonly command: string; readonly nth: number }[];
  /** There is no supplicant during the whole run. */
  readonly supplicantAbsent: boolean;
  /** The supplicant leaves, and another one starts; in order; milliseconds from the start. */
  readonly supplicantLeaves: readonly { readonly at: number; readonly back: number | undefined }[];
  /** The system suspends: processes of user space, including the supplicant, are frozen until it resumes. */
  readonly suspends: readonly { readonly at: number; readonly resumes: number | undefined }[];
  /** The fault in the answer to the nth request (from 1) of a service. */
  readonly answers: readonly { readonly rpc: ServiceName; readonly nth: number; readonly fault: AnswerFault }[];
  /** Clients that die: their labels, and the times. */
  readonly deaths: readonly { readonly client: string; readonly at: number }[];
  /** Times at which a thread context of secure world is lost. */
  readonly lostThreads: readonly number[];
  /** Period in milliseconds of an interrupt for the normal world that takes computing threads out of secure world. */
  readonly interruptPeriod: number | undefined;
}
