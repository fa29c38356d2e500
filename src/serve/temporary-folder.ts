import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A private folder (mode 0700) that is removed on disposal or at the end of this process. */
export class TemporaryFolder implements Disposable {
  readonly path: string;
  private readonly remove = () => rmSync(this.path, { recursive: true, force: true });

  /** @param prefix of its name. */
  constructor(prefix: string) {
    this.path = mkdtempSync(join(tmpdir(), prefix));
    process.once('exit', this.remove);
  }

  [Symbol.dispose](): void {
    process.off('exit', this.remove);
    this.remove();
  }
}
