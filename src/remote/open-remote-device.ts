import type { OpenedDevice } from '../linux/open-linux-tee.js';
import { TeeResult } from '../protocol/tee-result.js';
import { commsError } from '../tee/teec-error.js';
import type { Trace } from '../trace/trace.js';
import { AgentLink } from './agent-link.js';
import { RemoteMemories, remoteDoor } from './remote-door.js';
import { parseSshBoard, sshCommand } from './ssh-board.js';

/**
 * Open the TEE device of a board, through an agent started over ssh. The agent's output on standard error becomes marks
 * in the trace.
 * @param board `ssh://[user@]host[:port][/dev/tee0]`
 * @throws RangeError if the address is invalid; TeecError COMMUNICATION saying why the agent did not start.
 */
export async function openRemoteDevice(board: string, deviceCalls: number, trace: Trace): Promise<OpenedDevice> {
  const parsed = parseSshBoard(board);
  const command = sshCommand(parsed, deviceCalls, process.env.NORMALWORLD_REMOTE || 'normalworld');
  const memories = new RemoteMemories();
  const { link, hello } = await AgentLink.open(
    command,
    (line) => trace.mark(`${command.whose}: ${line}`),
    (change, read) => memories.change(change, read),
  );
  return {
    door: remoteDoor(link, hello, memories, command.whose),
    revision: hello.revision,
    rpmbRouting: hello.rpmbRouting,
    devices: {
      there: { supplicant: true, rpmb: true },
      onBus: () => undefined,
      watch() {
        throw commsError(
          TeeResult.ERROR_NOT_SUPPORTED,
          `watching devices is not supported over ssh (${command.whose})`,
        );
      },
    },
    identity: hello.identity,
    ended: link.lost,
    close: () => link.end(),
  };
}
