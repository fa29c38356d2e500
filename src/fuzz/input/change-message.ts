import type { MsgArg } from '../../protocol/optee-msg.js';
import type { Step } from './grammar.js';

/**
 * Change one field of a message. `field` is a field of the header, or attr, a, b or c of parameter number `parameter`;
 * `value` is the new value. A parameter outside the message is ignored.
 */
export function changeMessage(message: MsgArg, { field, parameter, value }: Step): void {
  const to = Number(value);
  const index = Number(parameter);
  switch (field) {
    case 'ret':
    case 'retOrigin':
    case 'session':
    case 'paramCount':
    case 'cmd':
    case 'func':
    case 'cancelId':
      message[field] = to;
      return;
    default:
      if (index >= message.paramCapacity) return;
      message.setParam(
        index,
        field === 'attr' ? to : message.attr(index) || 0,
        field === 'a' ? to : message.a(index),
        field === 'b' ? to : message.b(index),
        field === 'c' ? to : message.c(index),
      );
  }
}
