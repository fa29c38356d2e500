import type { Clock } from '../../clock/clock.js';
import type { SupplicantRequest } from '../../optee/rpc/supplicant-queue.js';
import { RpcCommand } from '../../protocol/optee-rpc-command.js';
import type { Supplicant } from '../../supplicant/supplicant.js';
import type { Trace } from '../../trace/trace.js';
import type { SimulatedWorld } from '../../worlds/simulated/index.js';
import { formatTime } from '../duration.js';
import type { Death } from '../journal/client-record.js';
import type { OpenCall } from '../journal/run-journal.js';
import type { SupplicantIncidents } from './faulty-supplicant-device.js';
import type { AnswerFault, NormalFaultEffects, SupplicantDeath } from './run-faults.js';

/** The clients of a run, as faults use them. */
export interface KillableClients {
  readonly deaths: readonly Death[];
  /** Labels of user-space clients that have a call in flight. */
  readonly killableClients: readonly string[];
  kill(label: string): void;
  /** A call of this client never returns; the run does not wait for the client. */
  hangs(label: string): void;
}

/** The parts of a run that its incidents use. */
export interface Surroundings {
  readonly clock: Clock;
  readonly trace: Trace;
  readonly world: SimulatedWorld;
  readonly clients: KillableClients;
  startSupplicant(): Supplicant;
  /** Resolves when the next supplicant may start after a death; the schedule decides. */
  beforeReturn(): Promise<void>;
}

type IdentifiedCall = Pick<OpenCall, 'id' | 'label' | 'purpose'>;

/** A call that must fail, with the reason. */
export interface FailingCall extends Omit<IdentifiedCall, 'id'> {
  readonly why: string;
  readonly by: 'answer' | 'request';
}

/** The faults of a run: carries them out, and records the affected calls and clients. */
export class Incidents implements NormalFaultEffects, SupplicantIncidents {
  /** Ids of driver calls that may fail because of a fault. */
  readonly affectedCalls = new Set<number>();
  /** Labels of clients with a call that never returns; their resources are never released. */
  readonly hung = new Set<string>();
  /** Calls that must fail, by id. */
  readonly mustFail = new Map<number, FailingCall>();
  /** Labels of clients with a call whose RPC is never answered. */
  readonly unansweredClients = new Set<string>();
  /** Answers that the driver accepted and should have refused. */
  readonly wrongAnswers: string[] = [];
  lostThreads = 0;
  /** An application panicked. Other applications, or all of secure world, may have failed with it. */
  panicked = false;
  /**
   * Operations that secure world performed while the driver was told that they failed: sessions opened, memory objects
   * registered, memory objects released.
   */
  readonly reportedRefused = { session: 0, memory: 0, release: 0 };
  /** Deaths of supplicants: when, and when the next one started. */
  readonly supplicantDeaths: { readonly at: number; back: number | undefined }[] = [];
  private readonly waitingForQuiet: (() => void)[] = [];
  private supplicant: Supplicant | undefined;

  constructor(private readonly run: Surroundings) {}

  /** Whether any fault occurred. */
  get any(): boolean {
    return (
      Number(this.panicked) +
        this.affectedCalls.size +
        this.lostThreads +
        this.supplicantDeaths.length +
        this.run.clients.deaths.length >
      0
    );
  }

  get supplicantPresent(): boolean {
    return this.supplicant !== undefined;
  }

  get killableClients(): readonly string[] {
    return this.run.clients.killableClients;
  }

  get threads(): { readonly free: number; readonly all: number } {
    const { threads } = this.run.world;
    const free = threads.filter(({ state }) => state === 'free').length;
    return { free, all: threads.length - this.lostThreads };
  }

  kill(client: string): void {
    this.note(`${client} dies`);
    this.run.clients.kill(client);
  }

  /** At least one thread remains. */
  loseThread(): void {
    if (this.threads.all === 1) return;
    const thread = this.run.world.loseThread();
    if (thread === undefined) return;
    this.note(`thread ${thread} is lost`);
    this.lostThreads++;
  }

  startSupplicant(): void {
    this.supplicant ??= this.run.startSupplicant();
    const death = this.supplicantDeaths.at(-1);
    if (death !== undefined) death.back ??= this.run.clock.now();
  }

  /** The supplicant's process ends. */
  endSupplicant(): void {
    const { supplicant } = this;
    if (supplicant === undefined) return;
    this.supplicant = undefined;
    this.supplicantDeaths.push({ at: this.run.clock.now(), back: undefined });
    supplicant[Symbol.dispose]();
  }

  died(death: SupplicantDeath): void {
    this.endSupplicant();
    const comeBack = () => {
      this.note('a supplicant starts');
      this.startSupplicant();
    };
    if (death === 'back-late') this.whenQuiet(comeBack);
    else void this.run.beforeReturn().then(comeBack);
  }

  affected({ call }: SupplicantRequest, what: AnswerFault['fault'] | 'abandoned'): void {
    this.affectedCalls.add(call.id);
    if (what === 'dropped') this.unansweredClients.add(call.context.label);
  }

  requestFailed({ call, command }: SupplicantRequest, why: string): void {
    // The result of releasing memory is not passed on to a client.
    if (command !== RpcCommand.shmFree && call.purpose === 'invoke')
      this.recordMustFail({ ...call, label: call.context.label }, why, 'request');
  }

  /** Record that a call must fail, because of its own answer or of a request made for it. */
  recordMustFail(call: IdentifiedCall | undefined, why: string, by: FailingCall['by']): void {
    if (call !== undefined) this.mustFail.set(call.id, { label: call.label, purpose: call.purpose, why, by });
  }

  whenQuiet(action: () => void): void {
    this.waitingForQuiet.push(action);
  }

  /** Nothing can proceed any more: run the next waiting action. @returns whether there was one. */
  onQuiet(): boolean {
    const action = this.waitingForQuiet.shift();
    action?.();
    return action !== undefined;
  }

  acceptedInvalid({ id, call }: SupplicantRequest, answer: string): void {
    this.wrongAnswers.push(`the driver accepted ${answer} to supplicant request ${id} of call ${call.id}`);
  }

  denied(what: 'session' | 'memory' | 'release'): void {
    this.reportedRefused[what]++;
  }

  hangs({ id, label }: OpenCall): void {
    this.note(`call ${id} of ${label} hangs`);
    this.lostThreads++;
    this.affectedCalls.add(id);
    this.hung.add(label);
    this.run.clients.hangs(label);
  }

  panics(): void {
    this.panicked = true;
  }

  note(what: string): void {
    const { trace } = this.run;
    if (trace.on) trace.emit({ type: 'simulated-fault', what });
  }

  /**
   * The faults and whom they affected, as sentences. @param from the start of the run, in milliseconds of its clock.
   */
  sentences(from: number): string[] {
    const time = (at: number) => formatTime(Math.max(0, at - from));
    return [
      ...this.supplicantDeaths.map(
        ({ at, back }) =>
          `The supplicant exited at ${time(at)}${back === undefined ? ', for good' : ` and restarted at ${time(back)}`}.`,
      ),
      ...this.run.clients.deaths.map(
        ({ label, at, released }) =>
          `${label} died at ${time(at)}; its resources ${
            released === undefined
              ? 'are not released'
              : `were released ${released === at ? 'at once' : `${formatTime(released - at)} later`}`
          }.`,
      ),
      ...(this.lostThreads === 0
        ? []
        : [`Secure world lost ${this.lostThreads} ${this.lostThreads === 1 ? 'thread' : 'threads'}.`]),
    ];
  }
}
