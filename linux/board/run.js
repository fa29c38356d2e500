import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { linuxConsole } from '../../bench/linux/boot.js';
import { prepareLinux } from '../../bench/linux/prepare.js';
import { arm64Root, isComplete } from '../../dist/serve/arm64-root.js';
import { opteeFolder } from '../../dist/worlds/qemu/optee-folder.js';
import { XtestOutput } from '../../dist/xtest/xtest-output.js';
import { nodeFiles } from './programs.js';

/** The longest cases of xtest print nothing for minutes on a loaded machine. */
const silenceLimitMs = 1_200_000;
/** Libraries that xtest is linked with, other than the C library and libteec. */
const xtestLibraries = ['libckteec.so.0', 'libcrypto.so.3', 'libz.so.1', 'libzstd.so.1'];

/**
 * Boot a Debian kernel with the real OP-TEE and run one program.
 * @param {object} options
 * @param {string} options.kernel "6.12"
 * @param {'ours' | 'tee-supplicant'} options.supplicant
 * @param {readonly string[]} options.words `node FILE`, or `xtest CASES`.
 * @param {(text: string) => void} options.say
 * @param {(line: string) => void} options.onLine called with each line of the program.
 * @param {ReadonlyMap<string, string>} [options.files] further files of the guest.
 * @returns {Promise<number>} its exit code.
 * @throws Error if Linux does not start the program.
 */
async function onBoard({ kernel, supplicant, words, say, onLine, files = new Map() }) {
  const root = arm64Root();
  if (!isComplete(root)) throw new Error(`no ${root.xtest}; get it with: npx normalworld optee fetch`);
  const args = await prepareLinux(say, {
    ...{ init: fileURLToPath(new URL('init.c', import.meta.url)), kernel, memory: '1G' },
    words: [supplicant, ...words],
    files: new Map([...(await nodeFiles(say)), ...xtestFiles(root), ...files]),
    trustedApplications: [root.trustedApplications, opteeFolder().trustedApplications],
  });
  let begun = false;
  for await (const line of linuxConsole(args, silenceLimitMs)) {
    const [, exitCode] = /^@exit (\d+)$/.exec(line) ?? [];
    if (exitCode !== undefined) return Number(exitCode);
    if (line === '@begin') begun = true;
    else if (begun || process.env.NORMALWORLD_BOARD_CONSOLE) onLine(line);
  }
  throw new Error('Linux ended');
}

function xtestFiles(root) {
  const lib = (name) => join(root.path, 'usr/lib', name);
  const plugins = 'tee-supplicant/plugins';
  return new Map([
    ['/usr/bin/xtest', root.xtest],
    ...xtestLibraries.map((name) => [`/lib/${name}`, lib(`aarch64-linux-gnu/${name}`)]),
    ...readdirSync(lib(plugins)).map((name) => [`/usr/lib/${plugins}/${name}`, lib(`${plugins}/${name}`)]),
  ]);
}

/**
 * Run the behaviour suite over /dev/tee0, with Debian's tee-supplicant.
 * @returns {Promise<{ passed: number, failed: number, exitCode: number, lines: string[] }>}
 */
export async function behaviourOn({ kernel, supplicant, say, onLine }) {
  const lines = [];
  const exitCode = await onBoard({
    ...{ kernel, supplicant, say },
    words: ['node', '--test-reporter=tap', '/app/test/behaviour/linux.test.js'],
    onLine: (line) => {
      lines.push(line);
      onLine(line);
    },
  });
  const count = (what) =>
    Number(lines.map((line) => new RegExp(`^# ${what} (\\d+)`).exec(line)?.[1]).findLast(Boolean) ?? 0);
  return { passed: count('pass'), failed: count('fail'), exitCode, lines };
}

/** Run cases of the unmodified xtest. @returns {Promise<{ output: XtestOutput, exitCode: number }>} */
export async function xtestOn({ kernel, supplicant, cases, say, onLine }) {
  const output = new XtestOutput();
  const exitCode = await onBoard({
    ...{ kernel, supplicant, say, words: ['xtest', ...cases] },
    onLine: (line) => {
      output.line(line, performance.now());
      onLine(line);
    },
  });
  return { output, exitCode };
}

/**
 * The call rate of one caller, in a C program, in one whose second thread makes the calls, and in ours.
 * @returns {Promise<{ what: string, c: number, thread: number, node: number }[]>} medians.
 */
export async function throughputOn({ kernel, supplicant, say, onLine }) {
  const here = (name) => fileURLToPath(new URL(name, import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), 'normalworld-throughput-'));
  try {
    const program = join(folder, 'throughput');
    execFileSync('aarch64-linux-gnu-gcc', ['-O2', '-static', '-pthread', '-o', program, here('throughput.c')]);
    const measured = [];
    const exitCode = await onBoard({
      ...{ kernel, supplicant, say, words: ['node', '/app/throughput.mjs'] },
      files: new Map([
        ['/bin/throughput', program],
        ['/app/throughput.mjs', here('throughput.mjs')],
      ]),
      onLine: (line) => {
        const [, json] = /^@throughput (.+)$/.exec(line) ?? [];
        if (json !== undefined) measured.push(JSON.parse(json));
        onLine(line);
      },
    });
    if (exitCode !== 0) throw new Error(`the measurement ended with ${exitCode}; --verbose shows what it says`);
    return measured.map(({ what, c, thread, node }) => ({
      ...{ what, c: median(c), thread: median(thread), node: median(node) },
    }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}
