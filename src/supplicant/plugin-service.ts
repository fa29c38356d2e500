import { rpcPluginInvoke } from '../protocol/optee-rpc-command.js';
import { TeeResult } from '../protocol/tee-result.js';
import { type Uuid, uuidFromOctets } from '../protocol/uuid.js';
import { badRequest, bytesOf, memrefAt, valueAt } from './request-params.js';
import type { SupplicantService } from './supplicant.js';

/** What a plugin answers. */
export interface PluginReply {
  /** A `TeeResult`. */
  readonly result: number;
  /** Goes to the beginning of the buffer of the caller, who is told its length; at most as long as the buffer. */
  readonly output?: Uint8Array;
}

/** An extension of the supplicant, for trusted applications that know its UUID (tee-supplicant's plugins). */
export interface SupplicantPlugin {
  readonly uuid: Uuid;
  /** @param data a copy of the caller's buffer. */
  invoke(command: number, subCommand: number, data: Uint8Array): PluginReply | Promise<PluginReply>;
}

/** PLUGIN: optee_rpc_cmd.h, OPTEE_RPC_CMD_SUPP_PLUGIN. */
export function pluginService(plugins: readonly SupplicantPlugin[]): SupplicantService {
  const byUuid = new Map(plugins.map((plugin) => [plugin.uuid, plugin]));
  return async (params) => {
    const first = valueAt(params, 0, 'input');
    const second = valueAt(params, 1, 'input');
    const third = valueAt(params, 2, 'inout');
    const memref = memrefAt(params, 3, 'inout');
    if (first.a !== rpcPluginInvoke) return TeeResult.ERROR_NOT_SUPPORTED;
    const plugin = byUuid.get(uuidOfWords([first.b, first.c, second.a, second.b]));
    if (plugin === undefined) return TeeResult.ERROR_ITEM_NOT_FOUND;
    const { result, output } = await plugin.invoke(second.c, third.a, bytesOf(memref));
    third.b = output?.length ?? 0;
    if (output === undefined) return result;
    if (output.length > memref.size) throw badRequest(`the plugin's ${output.length} bytes do not fit ${memref.size}`);
    memref.shm?.write(memref.offset, output);
    return result;
  };
}

/** The octets of a UUID in four little-endian words. */
function uuidOfWords(words: readonly number[]): Uuid {
  const octets = new DataView(new ArrayBuffer(16));
  for (const [index, word] of words.entries()) octets.setUint32(4 * index, word >>> 0, true);
  return uuidFromOctets(new Uint8Array(octets.buffer));
}
