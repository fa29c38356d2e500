import { TeeResult } from '../protocol/tee-result.js';
import type { PluginReply, SupplicantPlugin } from '../supplicant/plugin-service.js';

/** Commands of the test suite's plugin (optee_test, test_supp_plugin.h). */
const ping = 0;
const passValues = 1;
const writeArray = 2;
const getArray = 3;

const success: PluginReply = { result: TeeResult.SUCCESS };

/** The test suite's plugin for tee-supplicant, with the behaviour of release 4.5.0. */
export const testPlugin: SupplicantPlugin = {
  uuid: 'f07bfc66-958c-4a15-99c0-260e4e7375dd',
  invoke(command, subCommand, data) {
    switch (command) {
      case ping:
        return success;
      case passValues: {
        const [a = 0, b = 0] = [0, 4].map((offset) => word(data, offset));
        const output = new Uint8Array(4);
        new DataView(output.buffer).setUint32(0, subCommand === '+'.charCodeAt(0) ? a + b : a - b, true);
        return { ...success, output };
      }
      case writeArray:
        return { ...success, output: Uint8Array.of(data.reduce((sum, byte) => sum + byte, 0)) };
      case getArray: {
        const output = new TextEncoder().encode('Array from plugin\0');
        return data.length < output.length ? { result: TeeResult.ERROR_GENERIC } : { ...success, output };
      }
      default:
        return { result: TeeResult.ERROR_NOT_SUPPORTED };
    }
  },
};

function word(data: Uint8Array, offset: number): number {
  return data.length < offset + 4 ? 0 : new DataView(data.buffer, data.byteOffset).getUint32(offset, true);
}
