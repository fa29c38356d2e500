import type { MsgArg } from '../../../protocol/optee-msg.js';
import { type SecureWorld, secureWorldBut } from '../../../protocol/secure-world.js';
import type { TimedTraceEvent } from '../../../trace/trace.js';
import { FfaMemoryWatch } from './ffa-memory-watch.js';
import { MemoryOwners } from './memory-owners.js';
import { SmcMemoryWatch } from './smc-memory-watch.js';

/**
 * Stands between the driver and secure world and watches the memory that calls are made of: a message has one call at a time,
 * the list of pages that a call registers stays as it is while secure world may read it, and a page that secure world knows
 * has one owner: it is registered or shared once, nothing else is put there, and that does not end while a call that was given it
 * is inside.
 */
export class MemoryWatch {
  private readonly owners: MemoryOwners;
  private watch: SmcMemoryWatch | FfaMemoryWatch | undefined;
  /** The call that is about to make an SMC. */
  private entering = 0;

  /**
   * @param says that something is broken, in words.
   * @param looks at the message with which a call enters, where it is in memory that both worlds reach.
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
        // Back for good, or never inside; a thread that waits for an RPC keeps what it has.
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
