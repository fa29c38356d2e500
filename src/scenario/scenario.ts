import type { DisciplineName } from '../optee/call-queue/call-queue.js';
import { RpcCommand } from '../protocol/optee-rpc-command.js';
import type { Duration } from './duration.js';
import type { Expectation } from './expectation.js';
import type { AnswerFault } from './faults/run-faults.js';

/**
 * A workload on a simulated secure world, checked: every name in it refers to something. Times are in milliseconds.
 * The format of its files is described in docs/scenarios.md.
 */
export interface Scenario {
  readonly title: string;
  /** A paragraph for people; may be empty. */
  readonly about: string;
  /** The disciplines to run under, unless the caller says otherwise. */
  readonly queues: readonly DisciplineName[];
  /** What should become of it; nothing is expected of a discipline that is not named. */
  readonly expect: Expectation;
  /** Virtual time after which a run ends. */
  readonly limit: number;
  /** Time that a task of the normal world loses at each point where another could run in its place. */
  readonly preemption: Duration;
  /** Processors for what computes, in either world; undefined: as many as are wanted. */
  readonly cpus: number | undefined;
  /** One thread is kept for the driver's relief calls, under the disciplines that can. */
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
  /** Thread contexts that there are. */
  readonly threads: number;
  /** What GET_THREAD_COUNT answers, whether it is true or not; 0: nothing. */
  readonly announced: number;
  /** How OP-TEE is reached. Over FF-A nothing is announced. */
  readonly abi: 'smc' | 'ffa';
  /** It has memory of its own to share, where messages lie; else, as over FF-A, pages for messages are registered by calls. */
  readonly reservedShm: boolean;
  /** What secure world's drivers do in a bottom half. */
  readonly bottomHalf: readonly BottomHalfStep[];
}

/** Something that one has at a time: a mutex of the normal world (the clocks' prepare lock, a claimed host), or of OP-TEE. */
export interface ScenarioLock {
  readonly world: 'normal' | 'secure';
  /** Its holder may take it again. */
  readonly reentrant: boolean;
}

/** The supplicant as a process. */
export interface SupplicantSettings {
  /** Requests that it serves side by side; infinite: as many as come. */
  readonly threads: number;
  /** What reading an image takes, and finding memory that secure world asks for. */
  readonly loadTa: Duration;
  readonly allocate: Duration;
}

export type BottomHalfStep = Extract<ApplicationStep, { readonly step: 'compute' | 'notify' }>;

export type ScenarioApplication = ModelledApplication | ShippedApplication;

/** Applications that come with the simulated world, by the names that scenarios use for them. */
export const SHIPPED_APPLICATIONS = ['storage', 'rpmb-storage', 'counter', 'scmi', 'device-enumeration'] as const;

/** One of them, as it is. */
export interface ShippedApplication {
  readonly name: string;
  readonly kind: 'shipped';
  readonly use: (typeof SHIPPED_APPLICATIONS)[number];
  /** Milliseconds that each of its commands keeps its thread busy before it does its work. */
  readonly compute: number;
  /** What an SCMI service controls. */
  readonly clocks: readonly string[];
  readonly regulators: readonly string[];
  readonly resets: readonly string[];
}

/** An application whose commands the scenario describes. */
export interface ModelledApplication {
  readonly name: string;
  readonly kind: 'user' | 'pseudo';
  /** TA_FLAG_CONCURRENT of a pseudo-TA: its sessions execute at the same time. */
  readonly concurrent: boolean;
  readonly singleInstance: boolean;
  readonly multiSession: boolean;
  /** Whether OP-TEE lists it as a device: at once, or for when a supplicant is there. */
  readonly device: 'always' | 'with-supplicant' | undefined;
  /** It lets itself be cancelled: TEE_UnmaskCancellation at the start of each command. */
  readonly cancellable: boolean;
  readonly commands: ReadonlyMap<string, readonly ApplicationStep[]>;
}

export type ApplicationStep =
  /** Busy in secure world. */
  | { readonly step: 'compute'; readonly time: Duration }
  /** TEE_Wait: the thread context stays taken, the processor is in the normal world. */
  | { readonly step: 'wait'; readonly time: Duration }
  /** An RPC that a service of the scenario answers. */
  | { readonly step: 'rpc'; readonly service: ServiceName }
  /** Sleeps until somebody sends this notification value, 1..63, or that many milliseconds; 0: for ever. */
  | { readonly step: 'await'; readonly notification: number; readonly timeout: number }
  /** Sends a notification value, by an RPC. */
  | { readonly step: 'notify'; readonly notification: number }
  /** Invokes a command of another application, in a session that is kept with its own. */
  | { readonly step: 'invoke'; readonly application: string; readonly command: string }
  | HoldStep<ApplicationStep>;

/** Does these steps with a lock held. */
export interface HoldStep<Step> {
  readonly step: 'hold';
  readonly lock: string;
  readonly steps: readonly Step[];
}

/** RPC commands that a scenario can have answered, by the names that it uses for them. */
export const SERVICES = {
  rpmb: RpcCommand.rpmb,
  fs: RpcCommand.fs,
  socket: RpcCommand.socket,
  plugin: RpcCommand.plugin,
  /** A transfer on an I2C bus, which the kernel makes in the task that made the call. */
  i2c: RpcCommand.i2cTransfer,
} as const;
export type ServiceName = keyof typeof SERVICES;

export interface ScenarioService {
  /** One request at a time, in the order of their arrival, as for a device that is claimed. */
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
  /** Who carries its frames. */
  readonly rpmb: 'kernel' | 'supplicant';
  /** Milliseconds that an access takes. */
  readonly access: number;
  /** The clocks and regulators that it needs, in the order in which they are switched on. */
  readonly needs: readonly string[];
  /** The passive client that asks for them; nobody where nothing is needed. */
  readonly agent: string | undefined;
  /** The lock that is held for a whole access, and the one for each time that something is switched. */
  readonly claim: string | undefined;
  readonly switching: string | undefined;
}

export interface ScenarioClient {
  readonly name: string;
  /** Inside the kernel; else in user space. */
  readonly kernel: boolean;
  /** Its sessions ask to be system sessions. */
  readonly system: boolean;
  /** None for one that stands for a device of secure world: it makes no calls. */
  readonly application: string | undefined;
  /** All that it has a session with; the one above comes first. */
  readonly applications: readonly string[];
  /** Who gets a processor first, where there are fewer than are wanted: the higher. */
  readonly priority: number;
  /** Each of several begins so much later than the one before. */
  readonly stagger: number;
  /** It cancels a call that takes longer. */
  readonly timeout: number | undefined;
  /** It opens its session at the start of each round and closes it at the end, as a command-line tool does. */
  readonly sessionEachRound: boolean;
  /** Bytes of shared memory that it passes with every call; 0: none. */
  readonly sharedMemory: number;
  /** It is a further thread of this client: it uses that one's session and memory, and has none of its own. */
  readonly threadOf: string | undefined;
  /** It makes calls only for services and devices, one after the other. */
  readonly passive: boolean;
  /** How messages of an SCMI agent travel. */
  readonly transport: 'msg' | 'smt';
  /** That many such clients, each with a context and a session of its own. */
  readonly count: number;
  /** Threads of each client that use its session side by side. */
  readonly callers: number;
  /** How often each caller goes through the steps; infinite for `forever`. */
  readonly repeat: number;
  /** Time from one start of the steps to the next; they start late when the last round took longer. */
  readonly every: Duration | undefined;
  /** Time before the first start. */
  readonly start: Duration;
  /** A call that takes longer has come too late. */
  readonly deadline: number | undefined;
  readonly steps: readonly ClientStep[];
}

export type ClientStep =
  | { readonly step: 'invoke'; readonly application: string; readonly command: string }
  | { readonly step: 'wait'; readonly time: Duration }
  /** Waits until so long after the start of the run, if that is still to come. */
  | { readonly step: 'until'; readonly time: number }
  /** Is busy in the normal world. */
  | { readonly step: 'compute'; readonly time: Duration }
  | HoldStep<ClientStep>
  /** An interrupt handler of secure world notifies this value, by its interrupt; 0 asks for bottom half processing. */
  | { readonly step: 'notify'; readonly notification: number }
  /** Its session is closed, its shared memory freed; it asks for a system session; it opens a session again. */
  | { readonly step: 'close' | 'free' | 'system' | 'open' };

export interface ScenarioFaults {
  /** The nth RPC (from 1) of this kind is never answered. */
  readonly unanswered: readonly { readonly rpc: ServiceName; readonly nth: number }[];
  /** The application panics in the nth invoke (from 1) of this command. */
  readonly panics: readonly { readonly application: string; readonly command: string; readonly nth: number }[];
  /** No supplicant ever comes. */
  readonly supplicantAbsent: boolean;
  /** It leaves, and another comes, one after the other; milliseconds from the start. */
  readonly supplicantLeaves: readonly { readonly at: number; readonly back: number | undefined }[];
  /** The system suspends: processes of user space are frozen until it resumes, the supplicant with them. */
  readonly suspends: readonly { readonly at: number; readonly resumes: number | undefined }[];
  /** What becomes of the answer to the nth request (from 1) of a service. */
  readonly answers: readonly { readonly rpc: ServiceName; readonly nth: number; readonly fault: AnswerFault }[];
  /** Clients that die: their labels, and when. */
  readonly deaths: readonly { readonly client: string; readonly at: number }[];
  /** When a thread context of secure world goes lost. */
  readonly lostThreads: readonly number[];
  /** An interrupt for the normal world takes computing threads out every so many milliseconds. */
  readonly interruptPeriod: number | undefined;
}
