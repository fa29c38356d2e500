import { MsgArg, msgArgSize, OpteeMsgAttr } from '../../protocol/optee-msg.js';
import { type PhysicalAddress, pageSize } from '../../protocol/physical-memory.js';
import { type Uuid, uuidOctets } from '../../protocol/uuid.js';
import { type FuzzValue, recordOf, type Step } from '../input/grammar.js';
import { listPages, messagePages, type RawMemory } from './raw-memory.js';

/** The bases of addresses in inputs, by name. */
export type Bases = Readonly<Record<string, PhysicalAddress>>;

/** Writes the messages of an input and their page lists. */
export class RawMessages {
  private lists = 0;

  constructor(
    private readonly memory: RawMemory,
    private readonly bases: Bases,
    private readonly applications: readonly Uuid[],
  ) {}

  /** Start a new input. */
  begin(): void {
    this.lists = 0;
  }

  address(from: FuzzValue | undefined, offset: FuzzValue | undefined): PhysicalAddress {
    return (this.bases[String(from)] ?? 0) + Number(offset);
  }

  application(index: FuzzValue | undefined): Uuid {
    return this.applications[Number(index) % this.applications.length] ?? '';
  }

  /**
   * Write a message with the step's parameters.
   * @param offset where the message begins in its pages, in bytes.
   * @returns the message and its address, which is inside the input's memory.
   */
  write(step: Step, session: number, offset: number): { readonly message: MsgArg; readonly address: PhysicalAddress } {
    const parameters = listOf(step.parameters);
    const length = msgArgSize(parameters.length);
    // Clamp the offset so that the message fits. The address that secure world gets can differ.
    const address = this.memory.page(0) + Math.min(offset, messagePages * pageSize - length - msgArgSize(4));
    const message = new MsgArg(this.memory.bytes(address, length));
    message.reset(parameters.length);
    message.cmd = Number(step.command);
    message.func = Number(step.function);
    message.session = session;
    message.cancelId = Number(step.cancel);
    for (const [index, parameter] of parameters.entries()) this.parameter(message, index, parameter);
    message.paramCount = (parameters.length + Number(step.more)) >>> 0;
    return { message, address };
  }

  /** Write a page list in the format of OPTEE_MSG_ATTR_NONCONTIG. @returns its address. */
  list(pages: FuzzValue | undefined): PhysicalAddress {
    const address = this.memory.page(messagePages + (this.lists++ % listPages));
    const view = this.memory.view(address, pageSize);
    this.memory.bytes(address, pageSize).fill(0);
    listOf(pages).forEach((each, entry) => {
      const { kind, page, from, offset } = recordOf(each) ?? {};
      const at = kind === 'ours' ? this.memory.page(Number(page)) : this.address(from, offset);
      view.setBigUint64(entry * 8, BigInt(Math.min(at, 2 ** 63)), true);
    });
    return address;
  }

  private parameter(message: MsgArg, index: number, value: FuzzValue): void {
    const fields = recordOf(value) ?? {};
    const { kind, attr, a, b, c, from, offset, size, cookie, pages, application } = fields;
    switch (kind) {
      case 'value':
        message.setParam(index, Number(attr), Number(a), Number(b), Number(c));
        return;
      case 'memory':
        message.setParam(index, Number(attr), this.address(from, offset), Number(size), Number(cookie));
        return;
      case 'listed':
        message.setParam(index, Number(attr), this.list(pages) + Number(offset), Number(size), Number(cookie));
        return;
      case 'registered':
        message.setParam(index, Number(attr), Number(offset), Number(size), Number(cookie));
        return;
      case 'uuid':
        message.setParam(index, Number(attr), 0, 0, 0);
        message.octets(index).set(uuidOctets(this.application(application)));
        return;
      default:
        message.setParam(index, OpteeMsgAttr.none, 0, 0, 0);
    }
  }
}

export function listOf(value: FuzzValue | undefined): readonly FuzzValue[] {
  return Array.isArray(value) ? (value as readonly FuzzValue[]) : [];
}
