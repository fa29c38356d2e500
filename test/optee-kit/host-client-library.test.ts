import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { aboutHostClientLibrary, buildHostClientLibrary } from '../../src/optee-kit/host-client-library.js';
import { folderAt } from '../../src/worlds/qemu/optee-folder.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'normalworld-libteec-'));
});
afterEach(() => rmSync(root, { recursive: true }));

const hasCompiler = spawnSync('cc', ['--version']).status === 0 && process.arch === 'x64';

describe.skipIf(!hasCompiler)('libteec for programs of this machine', () => {
  it('is built from a clone, as a library that links', async () => {
    const put = (path: string, text: string) => {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    };
    // As OP-TEE/optee_client has it.
    put('clone/libteec/Makefile', 'MAJOR_VERSION := 2\n');
    put('clone/libteec/include/tee_client_api.h', 'int TEEC_One(void);\n');
    put('clone/libteec/src/one.c', '#include <tee_client_api.h>\nint TEEC_One(void) { return 1; }\n');
    put('clone/libteec/src/two.c', 'int TEEC_Two(void) { return 2; }\n');
    const optee = folderAt(join(root, 'optee'));
    expect(await aboutHostClientLibrary(optee)).toMatch(/is missing: .*(apt-get install|--client-source FOLDER)/);
    await buildHostClientLibrary(optee, join(root, 'clone'));
    expect(await aboutHostClientLibrary(optee)).toContain('libteec for x86-64 is in');
    const library = join(optee.client, 'x86_64-linux-gnu');
    expect(existsSync(join(library, 'libteec.so.2'))).toBe(true);
    put('main.c', 'int TEEC_One(void), TEEC_Two(void);\nint main(void) { return TEEC_One() + TEEC_Two(); }\n');
    const linked = spawnSync('cc', [join(root, 'main.c'), '-L', library, '-lteec', '-o', join(root, 'main')]);
    expect(linked.stderr.toString()).toBe('');
    const ran = spawnSync(join(root, 'main'), [], { env: { ...process.env, LD_LIBRARY_PATH: library } });
    expect(ran.status).toBe(3);
  });

  it('is not built from a folder without its source', async () => {
    await expect(buildHostClientLibrary(folderAt(join(root, 'optee')), root)).rejects.toThrow(/has no libteec\/src/);
  });
});
