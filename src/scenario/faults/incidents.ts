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
import type { AnswerFault, Strikable, SupplicantDeath } from './run-faults.js';

/** Clients as far as they can die. */
export interface MortalClients {
  readonly deaths: readonly Death[];
  /** Labels of those of user space that have a call in flight. */
  readonly mortals: readonly string[];
  kill(label: string): void;
  /** A call of this one never comes back: nobody waits for it any more. */
  hangs(label: string): void;
}

/** What a run gives to its incidents. */
export interface Surroundings {
  readonly clock: Clock;
  readonly trace: Trace;
  readonly world: SimulatedWorld;
  readonly clients: MortalClients;
  startSupplicant(): Supplicant;
  /** When a supplicant that died may come back: the schedule decides. */
  beforeReturn(): Promise<void>;
}

type Doomed = Pick<OpenCall, 'id' | 'label' | 'purpose'>;

/** A call that must fail. */
export interface DoomedCall extends Omit<Doomed, 'id'> {
  readonly why: string;
  readonly by: 'answer' | 'request';
}

/** The faults that struck a run: makes them happen, and keeps whom they hurt. */
export class Incidents implements Strikable, SupplicantIncidents {
  /** Calls of the driver that may fail for it. */
  readonly hurtCalls = new Set<number>();
  /** Clients with a call that never comes back; what they have is never given back. */
  readonly hung = new Set<string>();
  /** Calls that must fail, with the reason. */
  readonly mustFail = new Map<number, DoomedCall>();
  /** Clients with a call whose answer will never come. */
  readonly forsaken = new Set<string>();
  /** Answers that the driver took and should have refused. */
  readonly wrongAnswers: string[] = [];
  lostThreads = 0;
  /** An application panicked, and others may have gone with it, or all of secure world. */
  panicked = false;
  /** Sessions opened, objects of memory registered and let go of by secure world, of which the driver was told that they were not. */
  readonly deniedTo = { session: 0, memory: 0, release: 0 };
  /** Supplicants that died, and when the next came. */
  readonly supplicantDeaths: { readonly at: number; back: number | undefined }[] = [];
  private readonly waitingForQuiet: (() => void)[] = [];
  private supplicant: Supplicant | undefined;

  constructor(private readonly run: Surroundings) {}

  /** Something struck. */
  get any(): boolean {
    return (
      Number(this.panicked) +
        this.hurtCalls.size +
        this.lostThreads +
        this.supplicantDeaths.length +
        this.run.clients.deaths.length >
      0
    );
  }

  get supplicantPresent(): boolean {
    return this.supplicant !== undefined;
  }

  get mortals(): readonly string[] {
    return this.run.clients.mortals;
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

  /** One at least is left. */
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

  hurt({ call }: SupplicantRequest, what: AnswerFault['fault'] | 'abandoned'): void {
    this.hurtCalls.add(call.id);
    if (what === 'dropped') this.forsaken.add(call.context.label);
  }

  dooms({ call, command }: SupplicantRequest, why: string): void {
    // What is only given back has nobody who asks what became of it.
    if (command !== RpcCommand.shmFree && call.purpose === 'invoke')
      this.doom({ ...call, label: call.context.label }, why, 'request');
  }

  /** A call must fail: for the answer to it, or to a request that is made for it. */
  doom(call: Doomed | undefined, why: string, by: DoomedCall['by']): void {
    if (call !== undefined) this.mustFail.set(call.id, { label: call.label, purpose: call.purpose, why, by });
  }

  whenQuiet(action: () => void): void {
    this.waitingForQuiet.push(action);
  }

  /** Nothing moves any more. @returns whether something does now. */
  onQuiet(): boolean {
    const action = this.waitingForQuiet.shift();
    action?.();
    return action !== undefined;
  }

  wronglyTaken({ id, call }: SupplicantRequest, answer: string): void {
    this.wrongAnswers.push(`the driver accepted ${answer} to supplicant request ${id} of call ${call.id}`);
  }

  denied(what: 'session' | 'memory' | 'release'): void {
    this.deniedTo[what]++;
  }

  hangs({ id, label }: OpenCall): void {
    this.note(`call ${id} of ${label} hangs`);
    this.lostThreads++;
    this.hurtCalls.add(id);
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

  /** What struck whom, for people. @param from when the run began, by its clock. */
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
