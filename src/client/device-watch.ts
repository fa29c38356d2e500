import type { OptionNames } from '../known-options.js';
import { parseUuid } from '../protocol/uuid.js';
import { show } from '../show.js';
import { badParameters, checkOptions } from '../tee/teec-error.js';
import type { Trace } from '../trace/trace.js';
import { unbreakable } from '../warn.js';
import type { TeeDeviceDescription } from './devices.js';
import type { DevicesOfDriver } from './driver-of-tee.js';

/** Options of `Tee.watchDevices`. */
export interface WatchDevicesOptions {
  /** UUIDs of the devices to report, like a driver's table (Linux's `tee_client_device_id`). Default: all. */
  readonly match?: readonly string[];
  /** A device was added: Linux's `probe`. The devices that exist at the start are reported first. */
  readonly onAdded?: (device: TeeDeviceDescription) => void;
  /** A device was removed: Linux's `remove`. */
  readonly onRemoved?: (device: TeeDeviceDescription) => void;
  /** OP-TEE could not be queried; the list did not change. The trace has a mark about it in any case. */
  readonly onError?: (error: unknown) => void;
}

const names: OptionNames<WatchDevicesOptions> = { match: true, onAdded: true, onRemoved: true, onError: true };

/** Checked options. */
export interface Watched extends Omit<WatchDevicesOptions, 'match'> {
  readonly match: ReadonlySet<string> | undefined;
}

/** @throws TeecError BAD_PARAMETERS naming the invalid option or UUID. */
export function watched(options: WatchDevicesOptions): Watched {
  checkOptions('watching devices', options, names);
  const { match, onAdded, onRemoved, onError } = options;
  if (match !== undefined && !Array.isArray(match)) throw badParameters('watching devices: match is an array of UUIDs');
  for (const [name, callback] of Object.entries({ onAdded, onRemoved, onError }))
    if (callback !== undefined && typeof callback !== 'function')
      throw badParameters(`watching devices: ${name} is a function, not ${typeof callback}`);
  return { ...options, match: match === undefined ? undefined : new Set(match.map(uuidOf)) };
}

/** Reports the devices of a TEE as they are added and removed. */
export class DeviceWatch implements Disposable {
  /** Resolves when no query is in progress any more. */
  readonly released: Promise<void>;
  private release: () => void = () => undefined;
  private readonly tell: (error: unknown) => void;
  private readonly current = new Map<string, TeeDeviceDescription>();
  private stop: () => void = () => undefined;
  private running: Promise<void> | undefined;
  private again = false;
  private over = false;

  /** Made by `Tee.watchDevices`. */
  constructor(
    private readonly list: () => Promise<readonly TeeDeviceDescription[]>,
    private readonly source: DevicesOfDriver,
    private readonly trace: Trace,
    private readonly what: Watched,
  ) {
    this.tell = unbreakable('onError of a list of devices', (error: unknown) => what.onError?.(error));
    this.released = new Promise((resolve) => {
      this.release = resolve;
    });
  }

  /** The devices at present. */
  get devices(): readonly TeeDeviceDescription[] {
    return [...this.current.values()];
  }

  /** @throws the error of the first query; then nothing is watched. */
  async begin(): Promise<void> {
    try {
      this.stop = this.source.watch(() => this.refresh());
      this.running = this.ask();
      await this.running;
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    } finally {
      this.done();
    }
  }

  /** Stop reporting. */
  [Symbol.dispose](): void {
    if (this.over) return;
    this.over = true;
    this.stop();
    if (this.running === undefined) this.release();
  }

  /** Query the list again after a change; once more if another change comes during the query. */
  private refresh(): void {
    if (this.over) return;
    if (this.running !== undefined) {
      this.again = true;
      return;
    }
    this.running = this.ask()
      .catch((error: unknown) => {
        // The TEE is closing.
        if (this.over) return;
        this.trace.mark(`devices: ${show(error)}`);
        this.tell(error);
      })
      .finally(() => this.done());
  }

  private done(): void {
    this.running = undefined;
    if (this.over) this.release();
    else if (this.again) {
      this.again = false;
      this.refresh();
    }
  }

  private async ask(): Promise<void> {
    const { match } = this.what;
    const onBus = this.source.onBus();
    const listed = (await this.list()).filter(
      ({ uuid }) => (onBus === undefined || onBus.has(uuid)) && (match === undefined || match.has(uuid)),
    );
    if (this.over) return;
    const there = new Map(listed.map((device) => [device.uuid, device]));
    for (const [uuid, device] of [...this.current]) {
      if (there.has(uuid)) continue;
      this.current.delete(uuid);
      this.what.onRemoved?.(device);
    }
    for (const [uuid, device] of there) {
      if (this.current.has(uuid)) continue;
      this.current.set(uuid, device);
      this.what.onAdded?.(device);
    }
  }
}

function uuidOf(text: string): string {
  try {
    return parseUuid(text);
  } catch (error) {
    throw badParameters(`watching devices: ${show(error)}`);
  }
}
