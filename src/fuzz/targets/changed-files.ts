import { MemoryFileSystem } from '../../supplicant/memory-file-system.js';
import type { Step } from '../input/grammar.js';
import type { Surroundings, SurroundingsKind } from './surroundings.js';

const file = { type: 'integer', max: 15, usual: [0, 1, 2, 3] } as const;

/** Changes files of secure storage while OP-TEE uses them. */
export const changedFiles: SurroundingsKind = {
  steps: {
    'change-file': {
      file,
      at: { type: 'integer', max: 2 ** 20, usual: [0, 4, 8, 16, 32, 64, 4096, 8192, 12_288] },
      octets: { type: 'octets', maxLength: 64, usual: ['00', 'ff', '00000000', 'ffffffff'] },
    },
    'cut-file': { file, length: { type: 'integer', max: 2 ** 20, usual: [0, 1, 4095, 4096, 8192] } },
    'remove-file': { file },
    'swap-files': { file, other: file },
    /** Keep the current files, to restore them later: a rollback is also an attack. */
    'keep-files': {},
    'bring-back-files': {},
  },
  weights: { 'change-file': 4, 'remove-file': 0.5, renew: 2 },
  seeds: [],
  make: () => new ChangedFiles(),
};

class ChangedFiles implements Surroundings {
  private readonly files = new MemoryFileSystem();
  private kept = new Map<string, Uint8Array>();
  readonly tee = { supplicant: { fileSystem: this.files } };

  apply(step: Step): void {
    try {
      this.change(step);
    } catch {
      // The file does not exist, or no longer.
    }
  }

  settle(): void {
    // Storage is not restored after an input: how OP-TEE handles its state is under test.
  }

  private change({ kind, file: index, other, at, octets, length }: Step): void {
    const name = this.name(Number(index));
    switch (kind) {
      case 'change-file':
        this.files.open(name).write(Number(at), Buffer.from(String(octets), 'hex'));
        return;
      case 'cut-file':
        this.files.open(name).truncate(Number(length));
        return;
      case 'remove-file':
        this.files.remove(name);
        return;
      case 'swap-files': {
        const second = this.name(Number(other));
        const [one, two] = [this.content(name), this.content(second)];
        this.put(name, two);
        this.put(second, one);
        return;
      }
      case 'keep-files':
        this.kept = new Map(this.files.list('').map((each) => [each, this.content(each)]));
        return;
      default:
        for (const [each, content] of this.kept) this.put(each, content);
    }
  }

  private name(index: number): string {
    const names = this.files.list('');
    return names[index % names.length] ?? '';
  }

  private content(name: string): Uint8Array {
    const buffer = new Uint8Array(2 ** 20);
    const length = this.files.open(name).read(0, buffer);
    return buffer.slice(0, typeof length === 'number' ? length : 0);
  }

  private put(name: string, content: Uint8Array): void {
    this.files.create(name).write(0, content);
  }
}
