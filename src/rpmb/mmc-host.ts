import type { RpmbDevice } from './rpmb-device.js';

/** Power control of a card: its regulator and its clock, switched on before an access and off after it. */
export interface CardPower {
  on(): Promise<void>;
  off(): Promise<void>;
}

/**
 * An MMC host whose card is powered only during an access: Linux's mmc_claim_host() and runtime power management. One
 * access at a time; a caller waits until the host is released.
 */
export class MmcHost implements RpmbDevice {
  private free: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly card: RpmbDevice,
    private readonly power: CardPower,
  ) {}

  get cid(): Uint8Array {
    return this.card.cid;
  }
  get sizeMultiplier(): number {
    return this.card.sizeMultiplier;
  }
  get reliableWriteSectors(): number {
    return this.card.reliableWriteSectors;
  }

  exchange(frames: Uint8Array, answerSize: number): Promise<Uint8Array> {
    const exchanged = this.free.then(async () => {
      await this.power.on();
      try {
        return await this.card.exchange(frames, answerSize);
      } finally {
        await this.power.off();
      }
    });
    this.free = exchanged.catch(() => undefined);
    return exchanged;
  }
}
