import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { arm64Root, isComplete } from '../../src/serve/arm64-root.js';
import { runXtest } from '../../src/xtest/run-xtest.js';
import { whyNot as noOptee, onRealOptee } from '../worlds/qemu/real-optee.js';

const has = (program: string) => spawnSync(program, ['--version']).status === 0;
const crossCompiler = process.arch === 'arm64' ? 'cc' : 'aarch64-linux-gnu-gcc';
const whyNot =
  noOptee ??
  (!isComplete(arm64Root())
    ? `no xtest in ${arm64Root().path}: npx normalworld optee fetch`
    : process.arch !== 'arm64' && !has('qemu-aarch64')
      ? 'no qemu-aarch64: apt-get install qemu-user'
      : !has('make') || !has(crossCompiler)
        ? `no make or ${crossCompiler}: apt-get install make gcc-aarch64-linux-gnu libc6-dev-arm64-cross`
        : undefined);
const name = "OP-TEE's own test suite";

/** Of each group what is quick; the whole suite is `npm run xtest`. */
const groups = {
  'core, sessions, parameters, TAs that call TAs': [
    ...['1001', '1002', '1003', '1004', '1005', '1007', '1011', '1012', '1015', '1016', '1017', '1018'],
    ...['1019', '1020', '1021', '1022', '1025', '1026', '1027', '1028', '1033', '1034'].map(
      (each) => `regression_${each}`,
    ),
  ],
  'sockets of the supplicant': ['regression_200'],
  'cryptography and storage': ['regression_4001', 'regression_4005', 'regression_6001', 'regression_6002'],
  'PKCS#11, from a second process too': ['pkcs11_1000', 'pkcs11_1028'],
};

describe.skipIf(whyNot !== undefined)(
  noOptee === undefined && whyNot ? `${name} (skipped: ${whyNot})` : onRealOptee(name),
  () => {
    beforeAll(() => {
      const made = spawnSync('make', ['-C', fileURLToPath(new URL('../../preload/', import.meta.url))], {
        encoding: 'utf8',
      });
      expect(made.stderr).toBe('');
    });

    it.each(Object.entries(groups))('passes: %s', { timeout: 180_000 }, async (_, cases) => {
      const { output, exitCode, ok } = await runXtest({ cases });
      expect(output.cases.filter((each) => !each.ok)).toEqual([]);
      expect([output.unfinished, exitCode, ok]).toEqual([undefined, 0, true]);
      expect(output.cases.length).toBeGreaterThanOrEqual(cases.length);
      expect(output.counts).toMatchObject({ failedSubtests: 0 });
    });
  },
);
