import { type Clock, sleep } from '../../clock/clock.js';
import type { Random } from '../../clock/random.js';
import type { SupplicantRequest } from '../../optee/rpc/supplicant-queue.js';
import { RpcCommand } from '../../protocol/optee-rpc-command.js';
import type { SupplicantDevice } from '../../supplicant/supplicant.js';
import { drawTime, extremes } from '../duration.js';
import type { Scenario } from '../scenario.js';
import type { Freezer } from './freezer.js';

/** Whether the scenario specifies threads, times or suspends of the supplicant. */
export function isPaced({ supplicant: { threads, loadTa, allocate }, faults }: Scenario): boolean {
  return (
    threads !== Number.POSITIVE_INFINITY ||
    extremes(loadTa).most > 0 ||
    extremes(allocate).most > 0 ||
    faults.suspends.length > 0
  );
}

/** A supplicant with a number of threads and with service times, which is frozen while the system is suspended. */
export class PacedSupplicantDevice implements SupplicantDevice {
  private readonly serving = new Map<number, SupplicantRequest>();
  private freeThread: () => void = () => {};

  constructor(
    private readonly device: SupplicantDevice,
    private readonly settings: Scenario['supplicant'],
    private readonly clock: Clock,
    private readonly random: Random,
    private readonly freezer: Freezer,
  ) {}

  /** The ids of the calls whose requests its threads serve; empty if a thread is free. */
  get busyWith(): readonly number[] {
    return this.serving.size < this.settings.threads ? [] : Array.from(this.serving.values(), ({ call }) => call.id);
  }

  attach(): void {
    this.device.attach();
  }

  detach(): void {
    this.device.detach();
  }

  async receive(): Promise<SupplicantRequest | undefined> {
    while (this.serving.size >= this.settings.threads)
      await new Promise<void>((free) => {
        this.freeThread = free;
      });
    const request = await this.device.receive();
    if (request === undefined) return undefined;
    this.serving.set(request.id, request);
    await this.freezer.thawed();
    return request;
  }

  send(id: number, result: number): boolean {
    const command = this.serving.get(id)?.command;
    const { loadTa, allocate } = this.settings;
    const time =
      command === RpcCommand.loadTa
        ? drawTime(loadTa, this.random)
        : command === RpcCommand.shmAlloc
          ? drawTime(allocate, this.random)
          : 0;
    const frozen = this.freezer.thawed();
    if (time === 0 && frozen === undefined) return this.give(id, result);
    void this.giveLater(id, result, time);
    return true;
  }

  private async giveLater(id: number, result: number, time: number): Promise<void> {
    if (time > 0) await sleep(this.clock, time);
    await this.freezer.thawed();
    this.give(id, result);
  }

  private give(id: number, result: number): boolean {
    this.serving.delete(id);
    this.freeThread();
    return this.device.send(id, result);
  }
}
