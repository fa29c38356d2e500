import type { MsgArg } from '../../protocol/optee-msg.js';
import { smcName } from '../../protocol/optee-smc.js';
import type { Trace } from '../../trace/trace.js';
import type { SecureWorldEvent } from './core/core.js';
import type { Faults, TaFault } from './core/faults.js';

/** Options of a simulated world that make its events and its faults events of a trace. */
export function tracedWorld(
  trace: Trace,
  faults: Faults | undefined,
): { readonly trace: (event: SecureWorldEvent) => void; readonly faults?: Faults } {
  const tell = (what: string) => {
    if (trace.on) trace.emit({ type: 'simulated-fault', what });
  };
  return {
    trace: (event) => {
      if (!trace.on) return;
      if (event.type === 'log') trace.emit({ type: 'secure-console', line: event.text });
      else {
        // A bug of an application in TypeScript: the thrown error says more than the code.
        if (event.text !== undefined) trace.emit({ type: 'secure-console', line: `${event.uuid}: ${event.text}` });
        trace.emit({ type: 'ta-panic', uuid: event.uuid, code: event.code });
      }
    },
    ...(faults && { faults: tellFaults(faults, tell) }),
  };
}

/**
 * The same faults, reported to `tell` when they occur. A missing hook stays missing, because a hook costs time in every
 * call.
 */
function tellFaults(faults: Faults, tell: (what: string) => void): Faults {
  const { smc, smcReturn, message, answer, rpc, resumedTwice, refuseMemory, trustedApplication } = faults;
  const change =
    <Rest extends readonly unknown[]>(what: string, hook: (message: MsgArg, ...rest: Rest) => void) =>
    (live: MsgArg, ...rest: Rest) => {
      const before = live.bytes.slice();
      hook.call(faults, live, ...rest);
      if (live.bytes.some((byte, index) => byte !== before[index])) tell(what);
    };
  if (faults.threadsMissing !== undefined) tell(`thread contexts missing from the start: ${faults.threadsMissing}`);
  return {
    ...faults,
    ...(smc && {
      smc(registers) {
        const answered = smc.call(faults, registers);
        if (answered !== undefined)
          tell(`${smcName(registers.a0)} answered with ${hex(answered.a0)} instead of OP-TEE`);
        return answered;
      },
    }),
    ...(smcReturn && {
      smcReturn(registers, call) {
        const replaced = smcReturn.call(faults, registers, call);
        if (replaced !== undefined)
          tell(`return of ${smcName(call.a0)} replaced: a0 ${hex(registers.a0)} became ${hex(replaced.a0)}`);
        return replaced;
      },
    }),
    ...(message && { message: change('message changed on the way in', message) }),
    ...(answer && { answer: change('answer changed on the way out', answer) }),
    ...(rpc && {
      rpc(request) {
        const fault = rpc.call(faults, request);
        if (fault !== undefined)
          tell(`RPC of thread ${request.thread} ${typeof fault === 'string' ? fault : 'with other registers'}`);
        return fault;
      },
    }),
    ...(resumedTwice && {
      resumedTwice(thread) {
        const again = resumedTwice.call(faults, thread);
        if (again) tell(`thread ${thread} resumed twice`);
        return again;
      },
    }),
    ...(refuseMemory && {
      refuseMemory(registration) {
        const refused = refuseMemory.call(faults, registration);
        if (refused) tell(`registration of ${registration.size} bytes refused`);
        return refused;
      },
    }),
    ...(trustedApplication && {
      trustedApplication(entry) {
        const fault = trustedApplication.call(faults, entry);
        if (fault !== undefined) tell(`${entry.entry} of ${entry.uuid}: ${faultOf(fault)}`);
        return fault;
      },
    }),
  };
}

const hex = (value: number) => `0x${value.toString(16)}`;

function faultOf(fault: NonNullable<TaFault>): string {
  if ('panic' in fault) return `panic ${hex(fault.panic)}`;
  return 'hangs' in fault ? 'never returns' : `result ${hex(fault.result)}`;
}
