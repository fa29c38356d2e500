import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

const main = resolve(import.meta.dirname, '../../dist/cli/main.js');
const folder = mkdtempSync(join(tmpdir(), 'normalworld-mistakes-'));

const schedule = join(import.meta.dirname, '../conform/traces/prepatch-corner_000.json');
/** A finding of a target that may not be there. */
const finding = (name: string) => ({
  ...{ target: { name }, on: 'x', kind: 'x', signature: 'x', came: { times: 1, tries: 1 }, before: [], steps: [] },
});

beforeAll(() => {
  writeFileSync(join(folder, 'my.yaml'), 'title: it is run, and then looked at\n');
  writeFileSync(join(folder, 'bytes.json'), Uint8Array.of(0x89, 0x4e, 0x1b, 0x5b, 0xff, 0x0a));
  writeFileSync(join(folder, 'controls.json'), Uint8Array.of(0x09, 0x4e, 0x1b, 0x5b, 0x0a));
  writeFileSync(join(folder, 'latin1.yaml'), Buffer.from('# a board\ntitle: Gerät\n', 'latin1'));
  // The first octet of two.
  writeFileSync(join(folder, 'cut.yaml'), Buffer.from('title: x\xc3', 'latin1'));
  for (const [file, name] of Object.entries({ nobody: 'nobody', 'no-uuid': 'ta', driver: 'driver' }))
    writeFileSync(join(folder, `${file}.json`), JSON.stringify({ format: 'normalworld-fuzz/1', ...finding(name) }));
  writeFileSync(join(folder, 'schedule.json'), readFileSync(schedule));
  writeFileSync(join(folder, 'broken-ta.js'), 'export default nobodyDefinedThis;\n');
  writeFileSync(join(folder, 'empty-ta.js'), 'export const adder = {};\n');
});
afterAll(() => rmSync(folder, { recursive: true }));

it.each(['conform', 'replay'])('%s reports a bounded number of problems of a hostile file', (command) => {
  const head = '"format":"optee-cq-trace/1","variant":"v6","config":{"total_thread_count":1,"secure_threads":1,';
  const rest = '"initial_system_sessions":0,"callers":[]},"initial":';
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  writeFileSync(join(folder, 'deep.json'), `{${head}${rest}{"a":${deep}},"steps":[]}`);
  writeFileSync(join(folder, 'steps.json'), `{${head}${rest}{},"steps":[${'0,'.repeat(100_000)}0]}`);
  for (const [file, says] of [
    ['deep.json', /deep\.json: .*values may be nested at most 32 deep\n/],
    ['steps.json', /steps\.json: .*steps\[19\]: .*; and 99981 more\n/],
  ] as const) {
    const { status, stderr } = spawnSync(process.execPath, [main, command, file], { cwd: folder, encoding: 'utf8' });
    expect(stderr).toMatch(says);
    expect(stderr.length).toBeLessThan(20_000);
    expect(status).toBe(2);
  }
});

it.each([
  ['run /dev/zero', 2],
  ['conform /dev/zero', 2],
  ['replay /dev/zero', 2],
  ['ta inspect /dev/zero', 2],
  ['optee invoke 5b9e0e40-2636-11e1-ad9e-0002a5d5c51b 0 memref.input=@/dev/zero', 2],
  ['optee info --optee /dev/zero', 2],
  ['campaign start /dev/zero --redis redis://127.0.0.1:1', 2],
  ['campaign status --redis-file /dev/zero --name x', 2],
  ['fuzz ta 5b9e0e40-2636-11e1-ad9e-0002a5d5c51b --commands /dev/zero', 2],
])('%s ends although the file is endless', (command, code) => {
  const { status, stderr } = spawnSync(process.execPath, [main, ...command.split(' ')], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(stderr).toMatch(/\/dev\/zero: it has more than \d+ bytes/);
  expect(status).toBe(code);
});

it.each([
  ['view .', 2],
  ['top . --once', 2],
  ['campaign start .', 2],
  ['campaign status --redis-file . --name x', 2],
  ['ta inspect .', 2],
  ['optee invoke 5b9e0e40-2636-11e1-ad9e-0002a5d5c51b 0 memref.input=@.', 1],
  ['optee info --optee .', 1],
])('%s reports a folder given in place of a file', (command, code) => {
  const { status, stderr } = spawnSync(process.execPath, [main, ...command.split(' ')], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(stderr).toMatch(/(^|: )\.: it is a folder, not a file/);
  expect(status).toBe(code);
});

it.each(['plan', 'redis-file'])('campaign start refuses a %s that cannot be read as an invalid file', async (what) => {
  const path = join(folder, 'socket');
  const scenario = join(folder, 'no-scenario.yaml');
  writeFileSync(scenario, 'name: x\njobs: [{ kind: explore, scenario: nowhere.yaml, runs: 1 }]\n');
  await using server = createServer().listen(path);
  await once(server, 'listening');
  const run = (...words: string[]) =>
    spawnSync(process.execPath, [main, 'campaign', ...words], { cwd: folder, encoding: 'utf8' });
  const runs =
    what === 'plan'
      ? [run('start', path), run('start', 'nowhere.yaml'), run('start', scenario)]
      : [run('start', scenario, '--redis-file', path), run('status', '--redis-file', 'nowhere.yaml', '--name', 'x')];
  for (const { status, stderr } of runs) {
    expect(stderr).toMatch(/^normalworld: .*(socket|nowhere\.yaml).*\n$/);
    expect(status).toBe(2);
  }
});

it('doctor says that a program does not end, and waits no longer for it', () => {
  const program = join(folder, 'endless');
  writeFileSync(program, '#!/bin/sh\nexec tail -f /dev/null\n', { mode: 0o700 });
  const { status, stdout } = spawnSync(process.execPath, [main, 'doctor', '--qemu', program], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(stdout.replace(/\s+/g, ' ')).toContain(`${program} --version did not end within 10 s`);
  expect(status).toBe(1);
});

it.each([
  ['view my.yaml', 2, /^my\.yaml: not a trace: .*to record a scenario: normalworld run my\.yaml --trace out\.nwt\n$/],
  [
    'fuzz driver --seed 4294967296',
    2,
    /'--seed <n>' argument '4294967296' is invalid\. Allowed are integers 0 to 4294967295\.\n$/,
  ],
  [
    'ta build --set CFG_FOO',
    2,
    /^error: option '--set <variable>' argument 'CFG_FOO' is invalid\. .*expected NAME=value\n$/,
  ],
  ['ta inspect missing.ta', 2, /^normalworld: ENOENT: .*missing\.ta'\n$/],
  ['optee build --jobs 0', 2, /argument '0' is invalid\. Allowed are integers 1 to 1024\.\n$/],
  ['optee run x.yaml --limit 3.5', 2, /argument '3\.5' is invalid\. Allowed are integers 1 to 3600\.\n$/],
  ['replay bytes.json', 2, /^bytes\.json: line 1 is not UTF-8\n$/],
  ['replay controls.json', 2, /^controls\.json: not JSON: [ -~]+\n$/],
  ['run latin1.yaml', 2, /^latin1\.yaml: line 2 is not UTF-8\n$/],
  ['explore latin1.yaml', 2, /^latin1\.yaml: line 2 is not UTF-8\n$/],
  ['run cut.yaml', 2, /^cut\.yaml: line 1 is not UTF-8\n$/],
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
  ['doctor --device --optee x', 2, /^normalworld: --optee is for OP-TEE in QEMU: --device checks a board\n$/],
  ['optee info --device --ta x', 2, /^normalworld: --ta is for OP-TEE in QEMU/],
  ['optee info --storage-read-only', 2, /^normalworld: --storage-read-only needs --storage\n$/],
  ['serve --simulated --storage-read-only', 2, /^normalworld: --storage-read-only needs --storage\n$/],
  [
    'exec --simulated --no-supplicant --storage x -- /bin/true',
    2,
    /^normalworld: --storage is for the built-in supplicant, which --no-supplicant leaves out\n$/,
  ],
  ['serve --no-supplicant --ta x', 2, /^normalworld: --ta is for the built-in supplicant/],
  ['serve --simulated --no-supplicant --no-sockets', 2, /^normalworld: --no-sockets is for the built-in supplicant/],
  ['explore my.yaml --decisions 0 --runs 5', 2, /^error: --runs is for a search; --decisions makes one run\n$/],
  ['explore my.yaml --decisions 0 --no-reduction', 2, /^error: --no-reduction is for a search/],
  ['explore my.yaml --max-faults 2', 2, /^error: --max-faults needs --faults\n$/],
  [
    'explore my.yaml --strategy random --deviations 2',
    2,
    /^error: --deviations is for the strategy deviations, not for random\n$/,
  ],
  ['explore my.yaml --seed 1 --seeds 1..2', 2, /'--seeds <a..b>' cannot be used with option '--seed <n>'/],
  ['explore my.yaml --seed 4294967296', 2, /Allowed are integers 0 to 4294967295\.\n$/],
  ['explore --callers N --workers 100000', 2, /Allowed are integers 1 to 1024\.\n$/],
  ['explore --callers N --max-states 99999999999999999999', 2, /a whole number from 1 to 9007199254740991\n$/],
  ['fuzz driver --optee x', 2, /^normalworld: --optee is for OP-TEE in QEMU: target driver does not use one\n$/],
  ['fuzz smc --simulated --qemu x', 2, /^normalworld: --qemu is for OP-TEE in QEMU: --simulated uses/],
  ['replay nobody.json', 2, /^nobody\.json: target: there is none called "nobody"\n$/],
  ['replay no-uuid.json', 2, /^normalworld: target ta needs the UUID of an application\n$/],
  ['replay driver.json --optee x', 2, /^normalworld: --optee is for OP-TEE in QEMU: the finding is of driver/],
  ['replay schedule.json --ta x', 2, /^normalworld: --ta is for OP-TEE in QEMU: schedule\.json is a schedule/],
  ['doctr', 2, /^error: unknown command 'doctr'\n\(Did you mean doctor\?\)\n$/],
])('%s ends with exit code %i and says what is wrong', (command, code, says) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [main, ...command.split(' ')], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect(stderr).toMatch(says);
  expect([status, stdout]).toEqual([code, '']);
});
