import { RpcCommand, rpcPluginInvoke } from '../protocol/optee-rpc-command.js';
import { TeeResult } from '../protocol/tee-result.js';
import { parseUuid, type Uuid, uuidFromOctets } from '../protocol/uuid.js';
import { objectAnswered, octetsAnswered } from './answers.js';
import { badRequest, bytesOf, memrefAt, valueAt } from './request-params.js';
import { guarded } from './service-boundary.js';
import type { SupplicantService } from './supplicant-service.js';

/** The answer of a plugin. */
export interface PluginReply {
  /** A `TeeResult`. */
  readonly result: number;
  /** Copied to the start of the caller's buffer, with its length; at most as long as the buffer. */
  readonly output?: Uint8Array;
}

/** An extension of the supplicant for trusted applications that know its UUID (tee-supplicant's plugins). */
export interface SupplicantPlugin {
  readonly uuid: Uuid;
  /** @param data a copy of the caller's buffer. */
  invoke(command: number, subCommand: number, data: Uint8Array): PluginReply | Promise<PluginReply>;
}

/**
 * PLUGIN: optee_rpc_cmd.h, OPTEE_RPC_CMD_SUPP_PLUGIN.
 * @throws TypeError if a plugin's UUID is invalid.
 * @throws RangeError if two plugins have the same UUID.
 */
export function pluginService(plugins: readonly SupplicantPlugin[]): SupplicantService {
  const byUuid = new Map<Uuid, SupplicantPlugin>();
  for (const plugin of plugins) {
    const uuid = parseUuid(plugin.uuid);
    if (byUuid.has(uuid)) throw new RangeError(`two plugins have the UUID ${uuid}`);
    byUuid.set(uuid, plugin);
  }
  return guarded(RpcCommand.plugin, async (params) => {
    const first = valueAt(params, 0, 'input');
    const second = valueAt(params, 1, 'input');
    const third = valueAt(params, 2, 'inout');
    const memref = memrefAt(params, 3, 'inout');
    if (first.a !== rpcPluginInvoke) return TeeResult.ERROR_NOT_SUPPORTED;
    const uuid = uuidOfWords([first.b, first.c, second.a, second.b]);
    const plugin = byUuid.get(uuid);
    if (plugin === undefined) return TeeResult.ERROR_ITEM_NOT_FOUND;
    const reply = objectAnswered(await plugin.invoke(second.c, third.a, bytesOf(memref)), `plugin ${uuid}`);
    const output =
      reply.output === undefined ? undefined : octetsAnswered(reply.output, Number.POSITIVE_INFINITY, `plugin ${uuid}`);
    if (output !== undefined && output.length > memref.size)
      throw badRequest(`the ${output.length} bytes of plugin ${uuid} do not fit ${memref.size}`);
    third.b = output?.length ?? 0;
    if (output !== undefined) memref.shm?.write(memref.offset, output);
    return reply.result;
  });
}

/** The octets of a UUID in four little-endian words. */
function uuidOfWords(words: readonly number[]): Uuid {
  const octets = new DataView(new ArrayBuffer(16));
  for (const [index, word] of words.entries()) octets.setUint32(4 * index, word >>> 0, true);
  return uuidFromOctets(new Uint8Array(octets.buffer));
}
