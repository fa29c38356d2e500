import { join } from 'node:path';
import { readRegularFileSync } from '../../files/read-regular-file.js';
import type { Uuid } from '../../protocol/uuid.js';
import type { IntegerField, Step } from '../input/grammar.js';
import type { Surroundings, SurroundingsKind } from './surroundings.js';

const at: IntegerField = {
  type: 'integer',
  max: 2 ** 20,
  // struct shdr, shdr_bootstrap_ta, hash and signature, followed by the ELF file (signed_hdr.h of OP-TEE/optee_os).
  usual: [
    0, 4, 8, 12, 16, 18, 20, 36, 40, 52, 84, 340, 344, 348, 352, 356, 360, 364, 368, 372, 388, 396, 404, 412, 428, 430,
    444,
  ],
};

/**
 * Changes an application's image before LOAD_TA returns it.
 * @throws the system's error if there is no image.
 */
export function changedImage(uuid: Uuid, folders: readonly string[]): SurroundingsKind {
  const image = imageOf(uuid, folders);
  const load: Step = { kind: 'renew' };
  const invoke: Step = { kind: 'invoke', session: 0, command: 0, parameters: [] };
  return {
    steps: {
      set: {
        at,
        octets: {
          type: 'octets',
          maxLength: 256,
          usual: ['00', 'ff', '00000000', 'ffffffff', 'ffffff7f', '01', '4853544f'],
        },
      },
      cut: { length: { type: 'integer', max: image.length, usual: [0, 1, 20, 344, 348, 392, 400, image.length - 1] } },
      append: { octets: { type: 'octets', maxLength: 256, usual: ['00'] } },
    },
    weights: { set: 8, invoke: 2, renew: 6 },
    seeds: [{ steps: [load, invoke] }, { steps: [{ kind: 'set', at: 4, octets: '00' }, load, invoke] }],
    make: () => new ChangedImage(uuid, image),
  };
}

class ChangedImage implements Surroundings {
  private now: Uint8Array;
  readonly tee = {
    supplicant: { taStores: [{ load: (asked: Uuid) => (asked === this.uuid ? this.now : undefined) }] },
  };

  constructor(
    private readonly uuid: Uuid,
    private readonly image: Uint8Array,
  ) {
    this.now = image;
  }

  apply({ kind, at: place, octets, length }: Step): void {
    const given = Buffer.from(String(octets ?? ''), 'hex');
    switch (kind) {
      case 'cut':
        this.now = this.now.slice(0, Number(length));
        return;
      case 'append':
        this.now = Buffer.concat([this.now, given]);
        return;
      default: {
        const changed = this.now.slice();
        const from = Number(place);
        changed.set(given.subarray(0, Math.max(0, changed.length - from)), Math.min(from, changed.length));
        this.now = changed;
      }
    }
  }

  settle(): void {
    this.now = this.image;
  }
}

function imageOf(uuid: Uuid, folders: readonly string[]): Uint8Array {
  let failure: unknown;
  for (const folder of folders)
    try {
      return readRegularFileSync(join(folder, `${uuid}.ta`));
    } catch (error) {
      failure = error;
    }
  throw failure;
}
