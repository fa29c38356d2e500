import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { arm64Root, isComplete } from '../../dist/serve/arm64-root.js';
import { opteeFolder } from '../../dist/worlds/qemu/optee-folder.js';
import { XtestOutput } from '../../dist/xtest/xtest-output.js';
import { linuxConsole } from './boot.js';
import { prepareLinux } from './prepare.js';

/** The longest cases, which generate RSA keys, print nothing for minutes on a loaded machine. */
const silenceLimitMs = 1_200_000;

/** Linux passes at most 32 arguments to init (CONFIG_INIT_ENV_ARG_LIMIT), and panics if there are more. */
const maxWords = 30;

/** Libraries of xtest other than the C library and libteec. */
const libraries = ['libckteec.so.0', 'libcrypto.so.3', 'libgcc_s.so.1', 'libm.so.6', 'libz.so.1', 'libzstd.so.1'];

/**
 * Run OP-TEE's test suite on Linux as `runXtest` runs it through normalworld: the same binary, TAs and level.
 * @param {{ cases: readonly string[], say: (text: string) => void, onCase: (ended: XtestCase) => void, optee?: string
 * }} options
 * `optee`: an optee.ko in place of the kernel's own.
 */
export async function linuxXtest({ cases, say, onCase, optee }) {
  if (cases.length > maxWords) throw new RangeError(`${cases.length} words for cases; Linux takes ${maxWords}`);
  const root = arm64Root();
  if (!isComplete(root)) throw new Error(`no ${root.xtest}; get it with: npx normalworld optee fetch`);
  const args = await prepareLinux(say, {
    init: 'xtest-init.c',
    words: cases,
    files: filesOf(root),
    trustedApplications: [root.trustedApplications, opteeFolder().trustedApplications],
    ...(optee === undefined ? {} : { optee }),
  });
  const started = performance.now();
  const output = new XtestOutput();
  let begun = started;
  for await (const line of linuxConsole(args, silenceLimitMs)) {
    if (line === '@begin') begun = performance.now();
    const [, exitCode] = /^@exit (\d+)$/.exec(line) ?? [];
    const now = performance.now();
    if (exitCode !== undefined)
      return { output, exitCode: Number(exitCode), milliseconds: now - started, suiteMilliseconds: now - begun };
    const ended = output.line(line, now);
    if (ended !== undefined) onCase(ended);
  }
}

function filesOf(root) {
  const lib = (name) => join(root.path, 'usr/lib', name);
  const files = new Map([['/usr/bin/xtest', root.xtest]]);
  for (const name of libraries) files.set(`/lib/${name}`, lib(`aarch64-linux-gnu/${name}`));
  const plugins = 'tee-supplicant/plugins';
  for (const name of readdirSync(lib(plugins))) files.set(`/usr/lib/${plugins}/${name}`, lib(`${plugins}/${name}`));
  return files;
}
