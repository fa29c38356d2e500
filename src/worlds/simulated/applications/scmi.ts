import { type OptionNames, requireKnownOptions } from '../../../known-options.js';
import { ScmiPtaCapability, ScmiPtaCommand, scmiPtaUuid } from '../../../protocol/pta-scmi.js';
import { Smt, scmiHeaderSize, smtError, smtFree } from '../../../protocol/scmi.js';
import { TeeResult } from '../../../protocol/tee-result.js';
import type { ScmiPlatform } from '../scmi/scmi-platform.js';
import { ScmiServer } from '../scmi/scmi-server.js';
import type { TaCall } from '../ta/ta-call.js';
import { TeeError } from '../ta/tee-error.js';
import { type TrustedApplication, trustedApplication } from '../ta/trusted-application.js';

/** Options of the simulated SCMI service. */
export interface ScmiPtaOptions {
  /** Number of channels, with ids from 0. Default: 1. */
  readonly channels?: number;
  /** The announced `ScmiPtaCapability` bits. Default: both. */
  readonly capabilities?: number;
  /** Milliseconds that a command takes in secure world. */
  readonly computeMs?: number;
  /** The memory of channels with a fixed address, as a view. */
  readonly smtMemory?: (channel: number) => Uint8Array | undefined;
}

const names: OptionNames<ScmiPtaOptions> = { channels: true, capabilities: true, computeMs: true, smtMemory: true };

/** First handle of a channel; it differs from all ids, so that a mix-up is detected. */
const firstHandle = 0x100;

/** The SCMI service of the simulated OP-TEE: core/pta/scmi.c. All channels lead to one platform. */
export function scmiPta(platform: ScmiPlatform, options: ScmiPtaOptions = {}): TrustedApplication {
  requireKnownOptions('scmiPta', options, names);
  const { channels = 1, computeMs = 0, capabilities = ScmiPtaCapability.smt | ScmiPtaCapability.msg } = options;
  const server = new ScmiServer(platform);

  const channelOf = (call: TaCall): number => {
    const channel = call.value(0).a - firstHandle;
    if (!(channel >= 0 && channel < channels)) throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS);
    return channel;
  };
  const needs = (capability: number) => {
    if ((capabilities & capability) === 0) throw new TeeError(TeeResult.ERROR_NOT_SUPPORTED);
  };
  const process = async (call: TaCall, message: Uint8Array): Promise<Uint8Array | undefined> => {
    if (computeMs > 0) await call.compute(computeMs);
    return server.answer(message);
  };

  return trustedApplication({
    uuid: scmiPtaUuid,
    name: 'scmi.pta',
    kind: 'pseudo',
    concurrent: true,
    device: 'always',
    create: () => ({
      async invokeCommand(call) {
        switch (call.command) {
          case ScmiPtaCommand.capabilities:
            call.value(0, 'output').a = capabilities;
            return TeeResult.SUCCESS;
          case ScmiPtaCommand.getChannelHandle: {
            const param = call.value(0, 'inout');
            if (param.a >= channels) return TeeResult.ERROR_BAD_PARAMETERS;
            if ((param.b & ~capabilities) !== 0) return TeeResult.ERROR_NOT_SUPPORTED;
            param.a += firstHandle;
            return TeeResult.SUCCESS;
          }
          case ScmiPtaCommand.processSmtChannel: {
            needs(ScmiPtaCapability.smt);
            const memory = options.smtMemory?.(channelOf(call));
            if (memory === undefined) return TeeResult.ERROR_NOT_SUPPORTED;
            memory.set(await smt(memory.slice(), (message) => process(call, message)));
            return TeeResult.SUCCESS;
          }
          case ScmiPtaCommand.processSmtChannelMessage: {
            needs(ScmiPtaCapability.smt);
            channelOf(call);
            const memory = call.memref(1, 'inout');
            if (memory.capacity < Smt.payload) return TeeResult.ERROR_BAD_PARAMETERS;
            memory.write(await smt(memory.read(), (message) => process(call, message)));
            return TeeResult.SUCCESS;
          }
          case ScmiPtaCommand.processMsgChannel: {
            needs(ScmiPtaCapability.msg);
            channelOf(call);
            const answer = await process(call, call.memref(1, 'input').read());
            if (answer === undefined) return TeeResult.ERROR_BAD_PARAMETERS;
            const out = call.memref(2, 'output');
            out.size = answer.length;
            if (answer.length > out.capacity) return TeeResult.ERROR_SHORT_BUFFER;
            out.write(answer);
            return TeeResult.SUCCESS;
          }
          default:
            return TeeResult.ERROR_NOT_SUPPORTED;
        }
      },
    }),
  });
}

/** Process an SMT buffer: answer its message in place, or set the error status. */
async function smt(
  buffer: Uint8Array,
  process: (message: Uint8Array) => Promise<Uint8Array | undefined>,
): Promise<Uint8Array> {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  const length = view.getUint32(Smt.length, true);
  const busy = (view.getUint32(Smt.status, true) & smtFree) === 0;
  const valid = busy && length >= scmiHeaderSize && length <= buffer.length - Smt.header;
  const answer = valid ? await process(buffer.slice(Smt.header, Smt.header + length)) : undefined;
  if (answer === undefined || answer.length > buffer.length - Smt.header) {
    view.setUint32(Smt.status, smtFree | smtError, true);
    return buffer;
  }
  buffer.set(answer, Smt.header);
  view.setUint32(Smt.length, answer.length, true);
  view.setUint32(Smt.status, smtFree, true);
  return buffer;
}
