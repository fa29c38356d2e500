import { sleep } from '../clock/clock.js';
import type { SmcRegisters } from '../protocol/conduit.js';
import { isRpcReturn, OpteeSmcReturn, smcName } from '../protocol/optee-smc.js';
import { TeeResult } from '../protocol/tee-result.js';
import { commsError } from '../tee/teec-error.js';
import type { Trace } from '../trace/trace.js';
import type { Call, CallSwitches } from './call.js';
import { CallWaiter } from './call-queue/call-queue.js';
import { waitTurn } from './call-queue/wait-turn.js';
import type { Optee } from './optee.js';
import { toldOf } from './unreachable.js';

/**
 * Number of RPCs of one call after which the event loop gets a turn, even if each was answered at once. Otherwise, in a
 * world in this process, endless RPCs would block time limits, signals and the end of the client.
 */
const rpcsPerTurn = 1000;

/** The world switches of one yielding call, by ABI. */
export interface WorldSwitches extends CallSwitches {
  /** The SMC function of the next switch, or its equivalent. */
  readonly functionId: number;
  /** Enter secure world, for the first time or to resume. */
  enter(): SmcRegisters | Promise<SmcRegisters>;
  /** The result of a switch: an OPTEE_SMC_RETURN_* value, or an RPC return. */
  smcReturn(returned: SmcRegisters): number;
  /** The thread context that an RPC return left suspended. */
  thread(returned: SmcRegisters): number;
  /** A description of the refused request and its error. */
  refusal(returned: SmcRegisters): string;
  /** Serve the RPC and prepare to resume. */
  serve(returned: SmcRegisters): Promise<void>;
  /** Secure world had no free thread: the next switch is the first again. */
  startOver(): void;
  /** The call is complete, whatever its result. */
  end(): void;
}

/**
 * Take a call through the queue into secure world and serve its RPCs until it returns: the loop of Linux's
 * `optee_smc_do_call_with_arg()` and `optee_ffa_yielding_call()`.
 * @throws TeecError COMMUNICATION if secure world refuses the call or cannot be reached.
 */
export async function yieldingCall(optee: Optee, call: Call, switches: WorldSwitches): Promise<void> {
  const { callQueue, trace, clock, schedule } = optee;
  /** Wait at a scheduling point until the schedule continues the call; undefined if no schedule decides. */
  const hold = schedule.decides ? (step: string) => schedule.point(`call ${call.id}`, step) : undefined;
  // The class was decided before this point, because the session may change while the call waits here.
  if (hold !== undefined) {
    if (trace.on) begin(trace, call, 0);
    await hold('enter the queue');
  }
  const waiter = new CallWaiter(call.id);
  optee.callsInFlight.add(call);
  let step = callQueue.enter(waiter, call.system, call.relief !== false && optee.isRelief(call));
  // A call that does not wait begins and enters in one event.
  let entersAtOnce = step === 'call' && hold === undefined;
  if (hold === undefined && trace.on) begin(trace, call, entersAtOnce ? switches.functionId : 0);
  if (step !== 'call') await waitTurn(callQueue, waiter, step, clock, schedule, trace);
  call.inside = true;
  call.switches = switches;
  let smcReturn: number = OpteeSmcReturn.unknownFunction;
  let refusal = '';
  let reached = false;
  let rpcs = 0;
  try {
    for (;;) {
      if (hold !== undefined) await hold(smcName(switches.functionId));
      if (trace.on && !entersAtOnce) trace.worldEnter(call.id, switches.functionId);
      entersAtOnce = false;
      const answer = switches.enter();
      const returned = answer instanceof Promise ? await answer : answer;
      smcReturn = switches.smcReturn(returned);
      if (smcReturn === OpteeSmcReturn.ethreadLimit) {
        if (trace.on) trace.worldExit(call.id, smcReturn);
        if (hold !== undefined && callQueue.thinksOnThreadLimit) await hold('thread limit');
        step = callQueue.threadLimit(waiter);
        if (step !== 'call') await waitTurn(callQueue, waiter, step, clock, schedule, trace);
        switches.startOver();
      } else if (isRpcReturn(smcReturn)) {
        if (trace.on) trace.worldExit(call.id, smcReturn, switches.thread(returned));
        await switches.serve(returned);
        if (++rpcs % rpcsPerTurn === 0 && hold === undefined) await sleep(clock, 0);
      } else {
        reached = true;
        if (smcReturn !== OpteeSmcReturn.ok) refusal = switches.refusal(returned);
        break;
      }
    }
  } catch (error) {
    throw toldOf(error, optee, call.purpose);
  } finally {
    optee.callsInFlight.remove(call);
    switches.end();
    if (hold !== undefined) {
      // The call has returned and its thread is free. The queue learns of it when the caller has locked its mutex.
      if (trace.on && reached) trace.worldExit(call.id, smcReturn);
      await hold('leave the queue');
    }
    callQueue.leave(waiter);
    // A call that does not wait returns and ends in one event.
    if (trace.on) trace.callEnd(call.id, smcReturn, reached && hold === undefined);
  }
  if (refusal !== '')
    throw commsError(TeeResult.ERROR_COMMUNICATION, `${call.purpose}: secure world refused ${refusal}`);
}

/** @param functionId the function with which the call enters secure world in the same event; 0 if it waits first. */
function begin(trace: Trace, { id, context, purpose, session, system }: Call, functionId: number): void {
  trace.callBegin(id, context.label, purpose, session, system, functionId);
}
