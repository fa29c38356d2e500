import type { Clock } from '../../clock/clock.js';
import type { SupplicantRequest } from '../../optee/rpc/supplicant-queue.js';
import { rpcCommandName } from '../../protocol/optee-rpc-command.js';
import { TeeResult } from '../../protocol/tee-result.js';
import type { SupplicantDevice } from '../../supplicant/supplicant.js';
import { TeecError } from '../../tee/teec-error.js';
import { type AnswerFault, corrupt, partName, type RunFaults, type SupplicantDeath } from './run-faults.js';

/** Reports of a faulty device to its run. */
export interface SupplicantIncidents {
  /** The supplicant dies: it is detached, and another one starts later. */
  died(death: SupplicantDeath): void;
  /** This request will fail, get a wrong answer, or get no answer. */
  affected(request: SupplicantRequest, what: AnswerFault['fault'] | 'abandoned'): void;
  /** The request failed, and secure world gets the error. */
  requestFailed(request: SupplicantRequest, why: string): void;
  /** Run the action when nothing else can proceed. */
  whenQuiet(action: () => void): void;
  /** The driver accepted an answer that it should have refused. */
  acceptedInvalid(request: SupplicantRequest, answer: string): void;
  note(what: string): void;
}

/** The driver's interface for a supplicant, with faults in the requests and answers. */
export class FaultySupplicantDevice implements SupplicantDevice {
  /** Requests that were received and not answered, as far as the driver knows. */
  private readonly open = new Map<number, SupplicantRequest>();
  /** The ids of all received requests. */
  private readonly taken = new Set<number>();
  /** Ids of open requests that the supplicant does not work on. After its death nothing writes to their memory. */
  private readonly silent = new Set<number>();
  private left = false;

  constructor(
    private readonly device: SupplicantDevice,
    private readonly faults: RunFaults,
    private readonly clock: Clock,
    private readonly incidents: SupplicantIncidents,
    /** Waits until the schedule lets the supplicant take the step; undefined if the schedule does not control it. */
    private readonly turn: (step: string) => Promise<void> | undefined = () => undefined,
  ) {}

  attach(): void {
    this.device.attach();
  }

  detach(): void {
    for (const request of this.open.values()) {
      this.incidents.affected(request, 'abandoned');
      this.incidents.requestFailed(
        request,
        `the supplicant exited while it served its ${rpcCommandName(request.command)}`,
      );
    }
    this.device.detach();
    this.left = true;
    for (const id of this.silent) this.give(id, TeeResult.ERROR_COMMUNICATION);
    this.silent.clear();
  }

  async receive(): Promise<SupplicantRequest | undefined> {
    // Other tasks may make requests or end in the meantime; their requests stay queued.
    const turn = this.turn('take a request');
    if (turn !== undefined) await turn;
    const request = await this.device.receive();
    if (request === undefined) return undefined;
    if (this.taken.has(request.id))
      this.incidents.acceptedInvalid(request, 'a second answer, because it was delivered twice');
    this.taken.add(request.id);
    this.open.set(request.id, request);
    const death = this.faults.dies?.(request);
    if (death === undefined) return request;
    this.incidents.note(`the supplicant dies while it serves ${about(request)}`);
    this.silent.add(request.id);
    this.incidents.died(death);
    return undefined;
  }

  send(id: number, result: number): boolean {
    const request = this.open.get(id);
    const fault = request === undefined ? undefined : this.faults.answer?.(request);
    if (request === undefined || fault === undefined) return this.give(id, result);
    this.incidents.affected(request, fault.fault);
    switch (fault.fault) {
      case 'dropped':
        this.incidents.note(`the answer to ${about(request)} is dropped`);
        this.silent.add(id);
        return true;
      case 'late': {
        this.silent.add(id);
        const give = () => {
          // The supplicant may have died before.
          if (!this.silent.delete(id)) return;
          this.incidents.note(`the late answer to ${about(request)} arrives`);
          this.give(id, result);
        };
        if (fault.by === undefined) this.incidents.whenQuiet(give);
        else this.clock.setTimer(fault.by, give);
        return true;
      }
      case 'duplicated':
        this.incidents.note(`the answer to ${about(request)} is duplicated`);
        this.give(id, result);
        if (this.gives(id, result)) this.incidents.acceptedInvalid(request, 'a second answer');
        return true;
      case 'corrupted':
        this.incidents.note(`the answer to ${about(request)} has ${partName(fault.part)}`);
        if (fault.part.part === 'result')
          this.incidents.requestFailed(
            request,
            `the answer to its ${rpcCommandName(request.command)} was not a success`,
          );
        this.gives(id, corrupt(request, result, fault.part));
        return true;
      default:
        return fault satisfies never;
    }
  }

  private give(id: number, result: number): boolean {
    const request = this.open.get(id);
    this.open.delete(id);
    const wanted = this.device.send(id, result);
    if (wanted && this.left && request !== undefined)
      this.incidents.acceptedInvalid(request, 'an answer of a supplicant that had exited');
    return wanted;
  }

  /** Deliver the answer. False if the driver refuses it. */
  private gives(id: number, result: number): boolean {
    try {
      this.give(id, result);
      return true;
    } catch (error) {
      if (error instanceof TeecError) return false;
      throw error;
    }
  }
}

const about = ({ command, call }: SupplicantRequest) => `${rpcCommandName(command)} of call ${call.id}`;
