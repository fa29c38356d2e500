import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

const main = resolve(import.meta.dirname, '../../dist/cli/main.js');
const folder = mkdtempSync(join(tmpdir(), 'normalworld-mistakes-'));

beforeAll(() => {
  writeFileSync(join(folder, 'my.yaml'), 'title: it is run, and then looked at\n');
  writeFileSync(join(folder, 'bytes.json'), Uint8Array.of(0x89, 0x4e, 0x1b, 0x5b, 0xff, 0x0a));
  writeFileSync(join(folder, 'broken-ta.js'), 'export default nobodyDefinedThis;\n');
  writeFileSync(join(folder, 'empty-ta.js'), 'export const adder = {};\n');
});
afterAll(() => rmSync(folder, { recursive: true }));

it.each([
  ['view my.yaml', 2, /^my\.yaml: no trace: .*recorded by: normalworld run my\.yaml --trace out\.nwt\n$/],
  ['replay bytes.json', 2, /^bytes\.json: not JSON: [ -~]+\n$/],
  ['serve --simulated none.js', 1, /^normalworld: no module none\.js\n$/],
  [
    'exec --simulated empty-ta.js -- /bin/true',
    1,
    /^normalworld: empty-ta\.js exports no trusted application by default\n$/,
  ],
  [
    'serve --simulated broken-ta.js',
    1,
    /^normalworld: broken-ta\.js: ReferenceError: nobodyDefinedThis .*\n +at .*broken-ta\.js:1/,
  ],
  ['exec --simulated -- ./no-client', 1, /^normalworld: no .+\n$/],
  // The folder of --ta is one word: what follows is the application.
  ['optee invoke --qemu /no/qemu --optee my.yaml --ta build 1234 0', 1, /^normalworld: (?!.*argument).*\/no\/qemu/],
  ['doctr', 2, /^error: unknown command 'doctr'\n\(Did you mean doctor\?\)\n$/],
])('%s ends with %i and says what is wrong', (command, code, says) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [main, ...command.split(' ')], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 30_000,
  });
  expect(stderr).toMatch(says);
  expect([status, stdout]).toEqual([code, '']);
});
