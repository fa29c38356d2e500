import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OutputOption } from '../../src/cli/output/output-option.js';
import { visibleText } from '../../src/cli/output/visible-text.js';
import { normalworldProgram } from '../../src/cli/program.js';
import { encodeEvent, MemoryRecorder, type TraceEvent } from '../../src/trace/index.js';

const program = await normalworldProgram();
const main = resolve(import.meta.dirname, '../../dist/cli/main.js');
const scenario = resolve(import.meta.dirname, '../../scenarios/one-thread-short.yaml');
const board = resolve(import.meta.dirname, '../trace/linux-hang.txt');
const schedule = resolve(import.meta.dirname, '../conform/traces', 'prepatch-corner_000.json');
const folder = mkdtempSync(join(tmpdir(), 'normalworld-output-'));
const application = join(folder, 'ta.mjs');
const consoleText = join(folder, 'console.txt');
const trace = join(folder, 'hostile.nwt');
const escapes = '\x1b[2J\x1b]0;owned\x07\x9b31m\r\x1b[31mred';

const run = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', timeout: 60_000 });
const shell = (command: string) =>
  spawnSync('bash', ['-c', command], {
    encoding: 'utf8',
    timeout: 60_000,
    env: {
      ...{ ...process.env, NW: `${process.execPath} ${main}`, TRACE: trace, SCENARIO: scenario, BOARD: board },
      ...{ SCHEDULE: schedule, TA: application, CONSOLE: consoleText },
    },
  });

beforeAll(() => {
  const recorder = new MemoryRecorder();
  recorder.describe({ title: escapes, world: escapes, queue: escapes, threads: 1 });
  const events: TraceEvent[] = [
    { type: 'call-begin', call: 1, context: escapes, purpose: 'invoke', session: 1, system: false },
    { type: 'world-enter', call: 1, function: 3 },
    { type: 'world-exit', call: 1, a0: 0xffff_0005, thread: 0 },
    { type: 'call-begin', call: 2, context: `${escapes}2`, purpose: 'invoke', session: 2, system: false },
    { type: 'queue-sleep', call: 2, limit: false },
    { type: 'rpc-wait', call: 1, needs: 2, through: escapes },
    { type: 'secure-console', line: escapes },
  ];
  events.forEach((event, index) => {
    encodeEvent(recorder, index, event);
  });
  writeFileSync(trace, recorder.toBytes());
  writeFileSync(consoleText, 'E/TC:0 0 Panic\n');
  const api = pathToFileURL(resolve(import.meta.dirname, '../../dist/index.js')).href;
  writeFileSync(
    application,
    `import { trustedApplication } from '${api}'; export default trustedApplication({ uuid: '3b6e2f60-6c0b-4a8e-9d1c-2f1f6a3f8a11', kind: 'user', create: () => ({}) });\n`,
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Every command that does something. */
function leaves(command: Command, words: readonly string[] = []): { name: string; command: Command }[] {
  return command.commands.flatMap((inner) =>
    inner.commands.length > 0
      ? leaves(inner, [...words, inner.name()])
      : [{ name: [...words, inner.name()].join(' '), command: inner }],
  );
}

describe('a terminal control sequence', () => {
  const name = join(folder, 'a\x1b[2Jb');
  const text = `  \x1b[31mevil-9 [000] .....  99.0: optee_invoke_fn_begin: param=1 (32000013, 0, 0, 0, 0, 0, 0, 0)\n`;

  it.each([
    ['trace', 'stats', trace],
    ['top', trace, '--once'],
    ['trace', 'stats', name],
    ['trace', 'import', join(folder, 'evil.txt')],
    ['replay', join(folder, 'evil.json')],
    ['conform', join(folder, 'evil.json')],
    ['run', join(folder, 'evil.yaml')],
    ['no\x1b[2Jcommand'],
  ])('from outside does not reach the terminal: %s %s', (...args) => {
    writeFileSync(join(folder, 'evil.txt'), text);
    writeFileSync(join(folder, 'evil.json'), JSON.stringify({ format: escapes, steps: escapes }));
    writeFileSync(join(folder, 'evil.yaml'), 'title: "\\e[2J\\e[31mred"\n');
    const { stdout, stderr } = run(...args);
    expect(stdout + stderr).not.toBe('');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(stdout + stderr).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
  });

  it('is made visible instead', () => {
    expect(run('trace', 'stats', trace).stdout).toContain('\\x1b[2J\\x1b]0;owned\\x07\\x9b31m\\x0d\\x1b[31mred');
  });

  it('does not reach the terminal in messages that Node prints itself', () => {
    const guard = pathToFileURL(resolve(import.meta.dirname, '../../dist/cli/output/guard-output.js')).href;
    const warns = (name: string) => `process.emitWarning(${JSON.stringify(escapes)}, '${name}')`;
    const fails = `setImmediate(() => { throw new Error(${JSON.stringify(escapes)}) })`;
    const program = `import { guardOutput } from '${guard}'; guardOutput(); ${warns('Mine')}; ${warns('NormalworldWarning')}; ${fails}`;
    const node = (env: NodeJS.ProcessEnv) =>
      spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8', env });
    const { status, stderr } = node(process.env);
    const visible = String.raw`\x1b[2J\x1b]0;owned\x07\x9b31m\x0d\x1b[31mred`;
    expect(stderr).toMatch(/^\(node:\d+\) Mine: /);
    expect(stderr).toContain(`\nnormalworld: ${visible}\n`);
    expect(stderr).toContain(`\nError: ${visible}\n    at `);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(stderr).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
    expect(status).toBe(1);
    expect(node({ ...process.env, NODE_NO_WARNINGS: '1' }).stderr).toMatch(/^Error: /);
  });

  it("is only passed to a terminal if it is the program's own", () => {
    const strict = { terminal: true, colours: false };
    expect(visibleText('\x1b[31mred\x1b[0m', strict)).toBe('\\x1b[31mred\\x1b[0m');
    expect(visibleText('\x1b[31mred\x1b[0m\x1b[2J', { terminal: true, colours: true })).toBe(
      '\x1b[31mred\x1b[0m\\x1b[2J',
    );
    expect(visibleText('\x1b[H\x1b[2J\x1b[2J', strict)).toBe('\x1b[H\x1b[2J\\x1b[2J');
    expect(visibleText('\x1b[H\x1b[2J', { terminal: false, colours: false })).toBe('\\x1b[H\\x1b[2J');
    expect(visibleText('one\r\ntwo\ttab\n', strict)).toBe('one\ntwo\ttab\n');
  });
});

describe('output that cannot be written', () => {
  /** What each command is given that it prints something; or why it is not run here. */
  const printing: Readonly<Record<string, string | { readonly not: string }>> = {
    run: '$SCENARIO --queue hand-off',
    explore: "--queue hand-off --callers 'N,N' --threads 1",
    fuzz: { not: 'takes seconds, or the real OP-TEE' },
    'campaign start': { not: 'takes as long as its plan says' },
    'campaign work': { not: 'needs a server' },
    'campaign status': { not: 'needs a server' },
    'campaign results': { not: 'needs a server' },
    replay: '$SCHEDULE',
    view: '$TRACE',
    'trace stats': '$TRACE',
    'trace export': { not: 'prints nothing' },
    'trace import': '$BOARD',
    top: '$TRACE --once',
    conform: '$SCHEDULE',
    'optee fetch': { not: 'loads packages' },
    'optee build': { not: 'takes minutes' },
    'optee list': '',
    'optee info': { not: 'needs the real OP-TEE' },
    'optee ta list': { not: 'needs the real OP-TEE' },
    'optee invoke': { not: 'needs the real OP-TEE' },
    'optee run': { not: 'needs the real OP-TEE' },
    'optee symbolize': '< $CONSOLE',
    'ta new': { not: 'packs the package' },
    'ta build': { not: 'needs the kit' },
    'ta test': { not: 'needs the kit' },
    'ta watch': { not: 'needs the kit' },
    'ta inspect': '--json $BOARD',
    serve: '--simulated $TA',
    exec: { not: "what is printed is the program's own" },
    preload: { not: 'compiles' },
    supplicant: { not: 'needs a TEE behind a device' },
    xtest: { not: 'needs the real OP-TEE' },
    doctor: '',
    'completion bash': '',
    'completion zsh': { not: 'as for bash' },
    'completion fish': { not: 'as for bash' },
  };

  it('is tested for every command', () => {
    expect(Object.keys(printing)).toEqual(leaves(program).map(({ name }) => name));
  });

  it.each([
    ...Object.entries(printing).flatMap(([name, args]) => (typeof args === 'string' ? [`${name} ${args}`] : [])),
    '--help',
  ])('is an error: %s', (command) => {
    const { status, stderr } = shell(`$NW ${command} > /dev/full`);
    expect(stderr).toMatch(/error: standard output: ENOSPC/);
    expect(status).toBe(2);
  });

  it('is tested for every command that writes a file', () => {
    const writing = leaves(program).flatMap(({ name, command }) =>
      command.options.filter((option) => option instanceof OutputOption).map(({ long }) => `${name} ${long}`),
    );
    expect(writing).toEqual([
      ...['run --junit', 'run --trace', 'explore --trace', 'view --out', 'trace export --out'],
      ...['trace import --out', 'trace import --scenario', 'xtest --table'],
    ]);
  });

  it.each([
    'run $SCENARIO --queue hand-off --junit',
    'run $SCENARIO --queue hand-off --trace',
    'explore $SCENARIO --queue hand-off --decisions 0 --trace',
    "explore --queue linux-6.7 --callers 'N,N' --threads 1 --traces",
    'view $TRACE --out',
    'trace export $TRACE --out',
    'trace import $BOARD --out',
    'trace import $BOARD --scenario',
  ])('is an error: %s FILE', (command) => {
    const { status, stderr } = shell(`$NW ${command} /dev/full > /dev/null`);
    expect(stderr).toMatch(/^error: \/dev\/full: (ENOSPC|EEXIST)/m);
    expect(stderr).not.toMatch(/^trace: |look at it|^ {4}at /m);
    expect(status).toBe(2);
  });

  it('is an error if no file can be created there', () => {
    const { status, stderr } = shell('$NW run $SCENARIO --queue hand-off --trace /dev/null/x > /dev/null');
    expect(stderr).toMatch(/^error: \/dev\/null\/x: ENOTDIR/m);
    expect(status).toBe(2);
  });

  it('ends the program silently if the reader of a pipe has closed it', () => {
    const { stdout, stderr } = shell('$NW trace stats $TRACE | true; echo $PIPESTATUS');
    expect(stdout).toBe('141\n');
    expect(stderr).toBe('');
  });
});

describe('an output file', () => {
  const leftOver = () => readdirSync(folder).filter((name) => name.endsWith('.tmp'));

  it('is never an input file, under any name', () => {
    const same = join(folder, 'same.nwt');
    writeFileSync(same, readFileSync(trace));
    const before = readFileSync(same);
    const hard = join(folder, 'hard.nwt');
    linkSync(same, hard);
    const soft = join(folder, 'soft.nwt');
    symlinkSync(same, soft);
    for (const out of [same, hard, soft, join(folder, '.', 'x', '..', 'same.nwt').replace('/x/..', '/./')])
      for (const command of [
        ['trace', 'export', same, '--out', out],
        ['view', same, '--out', out],
      ]) {
        const { status, stderr } = run(...command);
        expect(stderr).toContain('this is the input file');
        expect(status).toBe(2);
      }
    const text = join(folder, 'board.txt');
    writeFileSync(text, readFileSync(board));
    expect(run('trace', 'import', text, '--out', text).status).toBe(2);
    expect(shell(`cd ${folder}; $NW trace import - --out board.txt < board.txt`).status).toBe(2);
    expect(readFileSync(text)).toEqual(readFileSync(board));
    expect(readFileSync(same)).toEqual(before);
    expect(leftOver()).toEqual([]);
  });

  it('is never the scenario, another output, or the data of a parameter', () => {
    const mine = join(folder, 'mine.yaml');
    const text = readFileSync(scenario, 'utf8');
    writeFileSync(mine, text);
    symlinkSync(mine, join(folder, 'soft.yaml'));
    mkdirSync(join(folder, 'traces'));
    linkSync(mine, join(folder, 'traces', 'hand-off.nwt'));
    for (const command of [
      'run mine.yaml --queue hand-off --trace mine.yaml',
      'run mine.yaml --trace ./soft.yaml',
      'run mine.yaml --junit mine.yaml',
      'run mine.yaml --queue hand-off --trace traces',
      'explore mine.yaml --decisions 0 --trace mine.yaml',
      'optee invoke 5b9e0e40-2636-11e1-ad9e-0002a5d5c51b 0 memref.inout=@mine.yaml,./mine.yaml',
      'optee invoke 5b9e0e40-2636-11e1-ad9e-0002a5d5c51b 0 memref.input=@mine.yaml memref.output=1,soft.yaml',
    ])
      expect(shell(`cd ${folder}; $NW ${command}`), command).toMatchObject({
        status: 2,
        stdout: '',
        stderr: expect.stringContaining('this is the input file'),
      });
    expect(shell(`cd ${folder}; $NW run mine.yaml --junit new --trace ./new`)).toMatchObject({
      status: 2,
      stderr: 'error: ./new: --junit and --trace would both write it\n',
    });
    expect(existsSync(join(folder, 'new'))).toBe(false);
    expect(readFileSync(mine, 'utf8')).toBe(text);
  });

  it.each(leaves(program))('is checked before $name does anything', ({ command }) => {
    // A card of RPMB is read, and written at the places that OP-TEE writes.
    const read = ['--xtest', '--rpmb', '--core-elf', '--key', '--commands', '--redis-file'];
    const written = command.options.filter(
      ({ flags, long }) => /<file[^>]*>$/.test(flags) && !read.includes(long ?? ''),
    );
    expect(written.filter((option) => !(option instanceof OutputOption)).map(({ flags }) => flags)).toEqual([]);
  });

  it('is complete or absent, keeps its mode, and may be a link', () => {
    const out = join(folder, 'out.pftrace');
    writeFileSync(out, 'old', { mode: 0o600 });
    symlinkSync(out, join(folder, 'link.pftrace'));
    expect(run('trace', 'export', trace, '--out', join(folder, 'link.pftrace')).status).toBe(0);
    expect(readFileSync(out)[0]).toBe(0x0a);
    expect(statSync(out).mode & 0o777).toBe(0o600);
    const nowhere = run('trace', 'export', trace, '--out', join(folder, 'none', 'x'));
    expect(nowhere).toMatchObject({ status: 2, stderr: expect.stringContaining('ENOENT') });
    expect(existsSync(join(folder, 'none'))).toBe(false);
    expect(leftOver()).toEqual([]);
  });
});

describe('the server of the page', () => {
  const get = (port: number, path: string, headers: Record<string, string>) =>
    new Promise<{ status: number | undefined; headers: NodeJS.Dict<string | string[]> }>((done, failed) => {
      request({ port, path, headers, host: '127.0.0.1' }, (response) => {
        response.resume();
        response.on('end', () => done({ status: response.statusCode, headers: response.headers }));
      })
        .on('error', failed)
        .end();
    });

  it('serves it only under its secret address', async () => {
    const child = spawn(process.execPath, [main, 'view', trace], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise((done) => child.on('exit', done));
    const line = await new Promise<string>((done) => child.stdout.once('data', (data) => done(String(data))));
    const { port, pathname } = new URL(/http:\S+/.exec(line)?.[0] ?? '');
    expect(pathname).toMatch(/^\/[0-9a-f]{32}\/$/);
    const known = await get(Number(port), pathname, { host: `127.0.0.1:${port}` });
    expect(known.status).toBe(200);
    expect(known.headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'content-security-policy': expect.stringMatching(/^default-src 'none'; script-src 'sha256-/),
    });
    for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1', `127.0.0.1:1${port}`])
      expect((await get(Number(port), pathname, { host })).status).toBe(404);
    for (const path of ['/', `${pathname}x`, pathname.slice(0, -1), '/../etc/passwd'])
      expect((await get(Number(port), path, { host: `127.0.0.1:${port}` })).status).toBe(404);
    child.kill('SIGINT');
    await ended;
  });
});
