import { TeeResult } from '../../src/protocol/tee-result.js';
import { uuidOctets } from '../../src/protocol/uuid.js';
import {
  type TaCall,
  TeeError,
  type TrustedApplication,
  trustedApplication,
} from '../../src/worlds/simulated/index.js';

/** OP-TEE's pseudo-TA for its own tests: lib/libutee/include/pta_invoke_tests.h. */
export const invokeTests = 'd96a5b40-c3e5-21e3-8794-1002a5d5c61b';
export const InvokeTestsCommand = {
  trace: 0,
  params: 1,
  selfTests: 2,
  fsHtree: 6,
  mutex: 7,
  lockdep: 8,
  memrefNull: 10,
  dtDriver: 11,
};

/** The user TA of OP-TEE's test suite: ta/os_test/include/ta_os_test.h of OP-TEE/optee_test. */
export const osTest = '5b9e0e40-2636-11e1-ad9e-0002a5d5c51b';
export const OsTestCommand = {
  init: 0,
  clientWithTimeout: 1,
  basic: 5,
  panic: 6,
  client: 7,
  paramsAccess: 8,
  wait: 9,
  badMemAccess: 10,
  ta2taMemref: 11,
  ta2taMemrefMix: 12,
  params: 13,
  callLib: 14,
  callLibPanic: 15,
  callLibDl: 16,
  callLibDlPanic: 17,
  getGlobalVar: 18,
  nullMemrefParams: 19,
  clientIdentity: 20,
  dlPhdr: 23,
  dlPhdrDl: 24,
  ta2taMemrefSize0: 37,
};

/** What the shared behaviour suite uses of both, in TypeScript for the simulated world. */
export const opteeTestApplications: readonly TrustedApplication[] = [
  trustedApplication({
    uuid: invokeTests,
    kind: 'pseudo',
    concurrent: true,
    device: 'always',
    create: () => ({
      invokeCommand(call) {
        switch (call.command) {
          case InvokeTestsCommand.trace:
            return;
          case InvokeTestsCommand.params:
            return addParameters(call);
          case InvokeTestsCommand.memrefNull: {
            const memref = call.memref(0, 'inout');
            return memref.isNull && memref.capacity === 0 ? undefined : TeeResult.ERROR_BAD_PARAMETERS;
          }
          default:
            throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS);
        }
      },
    }),
  }),
  trustedApplication({
    uuid: osTest,
    kind: 'user',
    create: () => ({
      invokeCommand(call) {
        switch (call.command) {
          case OsTestCommand.panic:
            return call.panic(0xdead_beef);
          case OsTestCommand.wait:
            call.unmaskCancellation();
            return call.wait(call.value(0, 'input').a);
          case OsTestCommand.getGlobalVar:
            call.value(0, 'output').a = 21;
            return;
          case OsTestCommand.clientIdentity:
            call.value(0, 'output').a = call.client.login;
            call.memref(1, 'output').write(teeUuid(call.client.uuid));
            return;
          default:
            throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS);
        }
      },
    }),
  }),
];

/** One inout value: a += b. Three input values and an output: their sums. One inout memref: its first byte = their sum. */
function addParameters(call: TaCall): number | undefined {
  const given = call.parameters.filter((parameter) => parameter !== undefined);
  const [only] = given;
  if (given.length === 1 && only?.type === 'value' && only.direction === 'inout') {
    only.a = (only.a + only.b) >>> 0;
    return undefined;
  }
  if (given.length === 1 && only?.type === 'memref' && only.direction === 'inout') {
    const bytes = only.read();
    bytes[0] = bytes.reduce((sum, byte) => (sum + byte) & 0xff, 0);
    only.write(bytes);
    return undefined;
  }
  const values = given.flatMap((parameter) => (parameter.type === 'value' ? [parameter] : []));
  const inputs = values.filter(({ direction }) => direction === 'input');
  const [output] = values.filter(({ direction }) => direction === 'output');
  if (inputs.length !== 3 || output === undefined) return TeeResult.ERROR_BAD_PARAMETERS;
  output.a = inputs.reduce((sum, { a }) => (sum + a) >>> 0, 0);
  output.b = inputs.reduce((sum, { b }) => (sum + b) >>> 0, 0);
  return undefined;
}

/** `TEE_UUID` as it lies in a TA's memory: its integers are little endian. */
export function teeUuid(uuid: string): Uint8Array {
  const octets = uuidOctets(uuid);
  octets.subarray(0, 4).reverse();
  octets.subarray(4, 6).reverse();
  octets.subarray(6, 8).reverse();
  return octets;
}
