import type { MsgArg } from '../../../protocol/optee-msg.js';
import { type SecureWorld, secureWorldBut } from '../../../protocol/secure-world.js';
import type { TimedTraceEvent } from '../../../trace/trace.js';
import { FfaMemoryWatch } from './ffa-memory-watch.js';
import { MemoryOwners } from './memory-owners.js';
import { SmcMemoryWatch } from './smc-memory-watch.js';

/**
 * Sits between the driver and secure world and checks the memory of calls. A message belongs to one call at a time. The
 * page list of a registration does not change while secure world may read it. A page that secure world knows has one
 * owner: it is registered or shared once, has no other use, and stays registered while a call that uses it is inside.
 */
export class MemoryWatch {
  private readonly owners: MemoryOwners;
  private watch: SmcMemoryWatch | FfaMemoryWatch | undefined;
  /** The id of the call that makes the next SMC. */
  private entering = 0;

  /**
   * @param says reports a violation.
   * @param looks called with the message with which a call enters, if it is in shared memory.
   */
  constructor(
    private readonly says: (what: string) => void,
    private readonly looks: (call: number, message: MsgArg) => void,
  ) {
    this.owners = new MemoryOwners(says);
  }

  readonly between = (world: SecureWorld): SecureWorld => {
    const { abi, conduit, memory } = world;
    const watch =
      abi === 'ffa'
        ? new FfaMemoryWatch(this.owners, memory, this.looks)
        : new SmcMemoryWatch(this.owners, memory, this.says, this.looks);
    this.watch = watch;
    return secureWorldBut(world, {
      conduit: {
        smc: (registers) => {
          const told = watch.goes(this.entering, registers);
          const answer = conduit.smc(registers);
          if (told === undefined) return answer;
          if (!(answer instanceof Promise)) {
            told(answer);
            return answer;
          }
          return answer.then((returned) => {
            told(returned);
            return returned;
          });
        },
      },
    });
  };

  readonly listen = (event: TimedTraceEvent): void => {
    switch (event.type) {
      case 'world-enter':
        this.entering = event.call;
        break;
      case 'world-exit':
        // Finally returned, or never inside. A thread that is suspended in an RPC keeps its memory.
        if (event.thread === undefined) this.watch?.comesBack(event.call);
        break;
      case 'call-end':
        this.watch?.comesBack(event.call);
        break;
      default:
        break;
    }
  };
}
