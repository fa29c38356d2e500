import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { missingForQemu } from '../../src/missing-for-qemu.js';
import { parseScenario } from '../../src/scenario/file/scenario-file.js';
import { arm64Root, isComplete } from '../../src/serve/arm64-root.js';
import { opteeFolder } from '../../src/worlds/qemu/optee-folder.js';
import { type Block, blocks } from './blocks.js';

const root = resolve(import.meta.dirname, '../..');
/** Inside the package, so that `normalworld` means this one; not in what is packed, which another test does meanwhile. */
const folder = mkdtempSync(join(root, '.docs-snippets-'));

const pages = [
  'README.md',
  'ARCHITECTURE.md',
  'bench/README.md',
  'firmware/README.md',
  ...under('docs'),
  ...under('examples'),
].filter((page) => page.endsWith('.md'));

function under(path: string): string[] {
  return readdirSync(join(root, path), { recursive: true, encoding: 'utf8' }).map((name) => `${path}/${name}`);
}

/** Lines of shell that are not run here: what runs them, or why nothing does. */
const elsewhere = new Map([
  ['npm ci', '.ci/run'],
  [
    'sudo apt-get update && sudo apt-get install --yes qemu-system-arm debian-archive-keyring python-apt-common',
    '.ci/run installs the same',
  ],
  ['npm ci && npm start', '.ci/run installs; what `npm start` runs is run on other pages'],
  ['npm ci && npm test', '.ci/run'],
  ['npm install', 'test/docs/examples.test.ts lays the packages out'],
  ['npm test', 'test/docs/examples.test.ts'],
  ['npx normalworld optee fetch', '.ci/run'],
  ['normalworld optee fetch', '.ci/run'],
  ['normalworld optee fetch --suite sid && normalworld optee info --optee debian-sid', 'it would fetch another one'],
  [
    'normalworld optee fetch --folder optee && NORMALWORLD_OPTEE=optee normalworld doctor',
    'it would fetch it all again',
  ],
  ['npm run bench:xtest', 'a quarter of an hour'],
  ['npm run playground', 'test/playground builds it, and drives it in a browser'],
  ['normalworld fuzz pta d96a5b40-c3e5-21e3-8794-1002a5d5c61b --execs 10000 --seed 7', 'a minute; test/fuzz'],
  ['normalworld replay fuzz-ta/findings/core-panic-12345678/finding.json', 'a finding of such a run; test/fuzz'],
  ['sudo normalworld top --device', 'for a board; test/cli/top-device.test.ts'],
  ['sudo normalworld top out.nwt --device', 'for a board; test/cli/top-device.test.ts'],
  ['ssh board normalworld serve --stdio --device /dev/tee0', 'for a board; test/remote'],
  ['normalworld supplicant --storage /var/lib/tee', 'for a board; test/linux-world'],
  [
    'normalworld supplicant --ta ./out --storage ./tee --plugin ./my-plugin.js --verbose',
    'for a board; test/linux-world',
  ],
  ['normalworld fuzz ta e6a33ed4-562b-463a-bb7e-ff5e15a493c8 --seconds 60', 'a minute; test/fuzz runs shorter ones'],
  ...[
    'normalworld campaign start plan.yaml --jobs 2',
    'normalworld campaign start plan.yaml --redis-file url',
    'normalworld campaign work --redis-file url --name driver',
    'normalworld campaign status --redis-file url --name driver',
    'normalworld campaign results --redis-file url --name driver',
  ].map((command) => [command, 'test/campaign, with a server of its own'] as const),
  [
    'normalworld replay fuzz-ta/findings/core-panic-92665fd8/finding.json',
    'a finding of that run; test/fuzz executes one again',
  ],
  ['npm run xtest', 'minutes; test/xtest runs parts'],
  ['npm run linux:findings', 'downloads kernels and builds for them; test/linux tests its parts'],
  ...[
    'normalworld ta new adder && cd adder && npm install && npm test',
    'normalworld ta build',
    'normalworld ta build --key my-key.pem --set CFG_TEE_TA_LOG_LEVEL=1 adder/ta',
    'normalworld ta test',
    'normalworld ta test --coverage',
    'normalworld ta test --flame-graph',
    "normalworld ta test -- -t 'refuses' --reporter=junit",
    'normalworld ta watch',
  ].map((command) => [command, 'test/ta/project.test.ts, in a project of its own'] as const),
  ...[
    'normalworld optee build --ffa',
    'normalworld optee build --profiling',
    'normalworld optee build --rpmb --scmi --threads 4 && normalworld optee info --optee sid-rpmb-scmi-threads4',
    'normalworld optee build --set CFG_CORE_SANITIZE_KADDRESS=y --set CFG_CORE_ASLR=n',
    'normalworld optee build --ffa && normalworld xtest --optee sid-ffa',
    'normalworld optee run scenarios/rpmb-scmi-deadlock.yaml --optee sid-rpmb-scmi-threads4 --repeat 1 --queue hand-off',
  ].map((build) => [build, 'minutes; test/optee-build starts one that is refused at once'] as const),
  ['normalworld xtest', 'minutes; test/xtest runs parts'],
  ['normalworld xtest 1004 pkcs11', 'minutes; test/xtest runs parts'],
  ['normalworld view build/profile/profile.folded', 'test/viewer/profile-page.test.ts'],
]);
const notRun = new Set(elsewhere.keys());

// As it is built from these sources; where it cannot be, what needs it is skipped.
spawnSync('make', ['-C', join(root, 'preload')]);
const noQemu = await missingForQemu();
const architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
const preload = (of: string) => existsSync(join(root, 'preload/build', of, 'libnormalworld.so'));

/** Why a block cannot be run on this machine. */
function whyNot(text: string): string | undefined {
  if (
    /world: 'qemu'|normalworld (doctor|xtest|optee (info|invoke|ta))|normalworld (exec|serve)(?!.*--simulated)/.test(
      text,
    )
  ) {
    if (noQemu !== undefined) return noQemu;
  }
  if (/world: 'linux'|--device\b/.test(text) && !existsSync('/dev/tee0')) return 'no /dev/tee0: it is for a board';
  if (/normalworld exec/.test(text) && !preload(architecture)) return 'no preload library: npm run preload';
  if (/normalworld xtest/.test(text) && !(preload('aarch64') && isComplete(arm64Root())))
    return 'no preload library or test suite for arm64: npm run preload, npx normalworld optee fetch';
  if (/\bjq\b/.test(text) && spawnSync('jq', ['--version']).status !== 0) return 'no jq: apt-get install jq';
  return undefined;
}

/** Commands of a block that are to be run; the steps of a CI job are commands too. */
function script({ language, text }: Block): string {
  const lines = language === 'yaml' ? stepsOf(parse(text)) : text.split('\n');
  return lines
    .filter((line) => {
      const command = line.replace(/(^|\s+)#.*$/, '').replace(/^(npm run \S+) -- .*/, '$1');
      notRun.delete(command);
      return command !== '' && !elsewhere.has(command);
    })
    .join('\n');
}

/** Of a workflow; a plan of a campaign has jobs too, which are no commands. */
function stepsOf(workflow: {
  readonly jobs?: Record<string, { readonly steps?: readonly { readonly run?: string }[] }>;
}) {
  return Object.values(workflow.jobs ?? {}).flatMap(({ steps }) =>
    (steps ?? []).flatMap(({ run }) => run?.split('\n') ?? []),
  );
}

const name = (page: string) => page.replaceAll(/[/.]/g, '-');

const all = pages.map((page) => ({
  page,
  /** Where its code runs; files that it names are there. */
  folder: join(folder, name(page)),
  blocks: blocks(readFileSync(join(root, page), 'utf8')),
}));

/** What the compiler says of all excerpts in TypeScript, as files of a user of the package. */
let compiled = '';
const excerpt = (page: string, { line }: Block) => `${name(page)}-${line}`;

beforeAll(() => {
  const typescript = join(folder, 'typescript');
  mkdirSync(typescript);
  for (const { page, blocks } of all)
    for (const block of blocks.filter(({ language }) => language === 'ts'))
      writeFileSync(join(typescript, `${excerpt(page, block)}.ts`), `${block.before}${block.text}export {};\n`);
  const compilerOptions = {
    strict: true,
    target: 'es2023',
    lib: ['ES2023', 'ESNext.Disposable'],
    module: 'nodenext',
    types: ['node'],
    outDir: 'out',
  };
  writeFileSync(join(typescript, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }));
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  compiled = spawnSync(process.execPath, [tsc, '-p', typescript], { encoding: 'utf8', cwd: typescript }).stdout;
  for (const { page, folder } of all) furnish(folder, join(root, dirname(page)));
}, 120_000);

/** Puts into the folder of a page what its commands take: an example's own files, scenarios, a board's trace, a client. */
function furnish(place: string, beside: string): void {
  mkdirSync(join(place, 'build'), { recursive: true });
  mkdirSync(join(place, '.config/fish/completions'), { recursive: true });
  if (beside.includes('/examples/'))
    for (const file of readdirSync(beside)) copyFileSync(join(beside, file), join(place, file));
  symlinkSync(join(root, 'scenarios'), join(place, 'scenarios'));
  symlinkSync(join(root, 'linux'), join(place, 'linux'));
  symlinkSync(opteeFolder().image, join(place, 'build/tee-pager_v2.bin'));
  symlinkSync(opteeFolder().trustedApplications, join(place, 'build/ta'));
  for (const scenario of ['my-workload.yaml', 'SCENARIO.yaml'])
    copyFileSync(join(root, 'examples/bug-report/hang.yaml'), join(place, scenario));
  copyFileSync(join(root, 'test/trace/linux-hang.txt'), join(place, 'hang.txt'));
  copyFileSync(join(root, 'test/trace/linux-stacks.txt'), join(place, 'stacks.txt'));
  writeFileSync(
    join(place, 'my-ta.js'),
    "import { scmiPta } from 'normalworld/testing';\nexport default scmiPta({});\n",
  );
  writeFileSync(
    join(place, 'console.log'),
    [
      'E/TC:? 0 TA panicked with code 0xffff0006',
      'E/LD:  Status of TA 5b9e0e40-2636-11e1-ad9e-0002a5d5c51b',
      'E/LD:   arch: aarch64',
      'E/LD:  region  0: va 0x40005000 pa 0xe316000 size 0x002000 flags rw-s (ldelf)',
      'E/LD:  region  1: va 0x40017000 pa 0x31fc000 size 0x0c2000 flags r-xs [0]',
      'E/LD:   [0] 5b9e0e40-2636-11e1-ad9e-0002a5d5c51b @ 0x40017000',
      'E/LD:  Call stack:',
      'E/LD:   0x0000000040019430',
      'E/LD:   0x000000004001d0a4',
      '',
    ].join('\n'),
  );
  writeFileSync(join(place, 'my-client'), '#!/bin/sh\nexec 3<> /dev/tee0\n');
  chmodSync(join(place, 'my-client'), 0o755);
}

function shell(script: string, cwd: string) {
  return spawnSync('bash', ['--norc', '-euo', 'pipefail', '-c', script], {
    // Bash takes a socket for a remote login, and reads the machine's settings.
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd,
    encoding: 'utf8',
    timeout: 120_000,
    env: {
      ...process.env,
      HOME: cwd,
      NORMALWORLD_OPTEE: opteeFolder().path,
      XDG_CACHE_HOME: dirname(dirname(opteeFolder().path)),
      SERVERS: join(cwd, 'servers'),
      PATH: `${import.meta.dirname}/bin:${process.env.PATH}`,
    },
  });
}

/** A server may have ended by itself, with its TEE. */
function end(pid: number): void {
  try {
    process.kill(pid);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

afterAll(() => {
  for (const { folder } of all) {
    const servers = join(folder, 'servers');
    if (existsSync(servers)) for (const pid of readFileSync(servers, 'utf8').trim().split('\n')) end(Number(pid));
  }
  rmSync(folder, { recursive: true });
});

describe.each(all.filter(({ blocks }) => blocks.length > 0))('the code of $page', ({ page, folder, blocks }) => {
  for (const block of blocks) {
    const { language, text, line, file } = block;
    const isShell = ['sh', 'yaml'].includes(language);
    const commands = isShell ? script(block) : '';
    // What is run elsewhere needs nothing here.
    const reason = whyNot(`${block.before}${isShell ? commands : text}`);
    const what = `line ${line}: ${text.split('\n')[0]}${reason === undefined ? '' : ` (skipped: ${reason})`}`;
    const test = it.skipIf(reason !== undefined);
    switch (language) {
      case 'js':
        test(what, () => {
          const path = join(folder, file ?? `line-${line}.mjs`);
          writeFileSync(path, text);
          const args = text.includes("from 'node:test'") ? ['--test', path] : [path];
          const { status, stdout, stderr } = spawnSync(process.execPath, args, {
            cwd: folder,
            encoding: 'utf8',
            timeout: 60_000,
          });
          expect(status, stdout + stderr).toBe(0);
        });
        break;
      case 'ts':
        test(what, () => {
          const program = excerpt(page, block);
          expect(compiled.split('\n').filter((message) => message.startsWith(program))).toEqual([]);
          const args = [join(dirname(folder), 'typescript/out', `${program}.js`)];
          const { status, stderr } = spawnSync(process.execPath, args, {
            cwd: folder,
            encoding: 'utf8',
            timeout: 30_000,
          });
          expect(status, stderr).toBe(0);
        });
        break;
      case 'yaml':
      case 'sh':
        test(what, { timeout: 180_000 }, () => {
          if (file !== undefined) writeFileSync(join(folder, file), text);
          if (/^applications:/m.test(text))
            parseScenario(/^title:/m.test(text) ? text : `title: an excerpt\n${text}`, page);
          const { status, stdout, stderr } = shell(commands, folder);
          expect(status, stdout + stderr).toBe(0);
          expect(stdout, 'no colour where there is no terminal').not.toContain('\x1b');
        });
        break;
      case 'console':
        it(`${what} (not run: it is for a board)`, () => {
          for (const command of text.trim().split('\n')) expect(command).toMatch(/^# (echo|cat|\.\.\.) /);
        });
        break;
      default:
        it(`${what} (a picture)`, () => expect(language).toBe('text'));
    }
  }
});

describe('the documentation', () => {
  it('lists no block as run elsewhere that does not exist', () => {
    expect([...notRun]).toEqual([]);
  });

  it('has no broken link in code', () => {
    const dead = pages.flatMap((page) => {
      const text = readFileSync(join(root, page), 'utf8');
      return [...text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
        .map(([, target = '']) => target)
        .filter((target) => !/^[a-z]+:/.test(target) && !existsSync(resolve(root, page, '..', target)))
        .map((target) => `${page}: ${target}`);
    });
    expect(dead).toEqual([]);
  });

  it('has no page without a link to it', () => {
    const led = new Set(
      pages.flatMap((page) =>
        [...readFileSync(join(root, page), 'utf8').matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map(([, target = '']) =>
          resolve(root, page, '..', target),
        ),
      ),
    );
    const alone = pages.filter((page) => page !== 'README.md' && !led.has(join(root, page)));
    expect(alone).toEqual([]);
  });

  it('explains every result code', () => {
    const errors = readFileSync(join(root, 'docs/errors.md'), 'utf8');
    const codes = readFileSync(join(root, 'src/protocol/tee-result.ts'), 'utf8').matchAll(
      /^ {2}((?:ERROR_|SUCCESS)\w*):/gm,
    );
    expect([...codes].map(([, name = '']) => name).filter((name) => !errors.includes(`\`${name}\``))).toEqual([]);
  });
});
