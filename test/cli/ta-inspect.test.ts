import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { opteeFolder } from '../../src/worlds/qemu/optee-folder.js';
import { onRealOptee, whyNot } from '../worlds/qemu/real-optee.js';

const main = resolve(import.meta.dirname, '../../dist/cli/main.js');
const sims = 'e6a33ed4-562b-463a-bb7e-ff5e15a493c8.ta';

describe.skipIf(whyNot !== undefined)(onRealOptee('ta inspect'), () => {
  const folder = mkdtempSync(join(tmpdir(), 'normalworld-inspect-'));
  const original = join(opteeFolder().trustedApplications, sims);
  beforeAll(() => copyFileSync(original, join(folder, sims)));
  afterAll(() => rmSync(folder, { recursive: true }));
  const inspect = (...files: string[]) =>
    spawnSync(process.execPath, [main, 'ta', 'inspect', ...files], { cwd: folder, encoding: 'utf8' });

  it('reports the other files if one cannot be read', () => {
    const { status, stdout, stderr } = inspect('missing.ta', sims);
    expect(stderr).toMatch(/^normalworld: ENOENT: .*missing\.ta'\n$/);
    expect(stdout).toContain('will load it');
    expect(status).toBe(2);
  });

  it('says that an image with another name than its UUID is not found', () => {
    copyFileSync(original, join(folder, 'foo.ta'));
    const { status, stdout } = inspect('foo.ta');
    expect(stdout.replace(/\s+/g, ' ')).toContain(
      'will answer TEEC_ERROR_ITEM_NOT_FOUND: the file is named foo.ta, but only <uuid>.ta, in lower case, is searched for',
    );
    expect(stdout).not.toContain('will load it');
    expect(status).toBe(1);
  });

  it('does not say that an unknown key signed an altered image', () => {
    const altered = readFileSync(original);
    altered.writeUInt8(altered.readUInt8(altered.length - 1) ^ 1, altered.length - 1);
    writeFileSync(join(folder, sims), altered);
    const { status, stdout } = inspect(sims);
    expect(stdout).toMatch(/signed by +not checked/);
    expect(status).toBe(1);
  });
});
