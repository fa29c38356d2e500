import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const folder = fileURLToPath(new URL('../../firmware/', import.meta.url));
const missing = ['make', 'aarch64-linux-gnu-gcc'].filter((name) => spawnSync(name, ['--version']).status !== 0);
const why =
  missing.length === 0 ? '' : ` (skipped: no ${missing.join(', no ')}; apt-get install make gcc-aarch64-linux-gnu)`;

describe.skipIf(missing.length > 0)(`the firmware${why}`, () => {
  it('is byte for byte the result of building its sources', () => {
    const scratch = mkdtempSync(join(tmpdir(), 'normalworld-'));
    try {
      const image = join(scratch, 'image.bin');
      const made = spawnSync('make', ['-C', folder, `BUILD=${scratch}`, `IMAGE=${image}`], { encoding: 'utf8' });
      expect(made.stderr).toBe('');
      expect(readFileSync(image).equals(readFileSync(join(folder, 'normalworld.bin')))).toBe(true);
    } finally {
      rmSync(scratch, { recursive: true });
    }
  });
});
