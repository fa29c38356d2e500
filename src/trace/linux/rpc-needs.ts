import { blockedIn, hasResource } from './blocked-in.js';
import type { OpenCall } from './recorded-calls.js';
import type { TaskStack } from './task-stacks.js';

/** What the RPC of a call waits for: call `needs` (0: no known call), through `through`. */
export interface RpcNeed {
  readonly call: number;
  readonly needs: number;
  readonly through: string;
}

/** Largest number of tasks in a chain of waits. */
const longestWay = 16;

/**
 * What each call in an RPC waits for at the end of the record. If the task made another call within the RPC, the RPC
 * waits for that call. Otherwise its stack shows what it is blocked in, and other stacks show which task holds that and
 * what this task is blocked in, until one of them is in a call of its own.
 */
export function rpcNeeds(
  open: ReadonlyMap<number, readonly OpenCall[]>,
  stacks: ReadonlyMap<number, TaskStack>,
  nameOf: (pid: number) => string,
): readonly RpcNeed[] {
  const needs: RpcNeed[] = [];
  for (const [pid, calls] of open) {
    calls.forEach(({ number }, index) => {
      const within = calls[index + 1];
      if (within !== undefined)
        needs.push({ call: number, needs: within.number, through: `${nameOf(pid)} itself, within the RPC` });
    });
    const call = calls.at(-1);
    if (call?.state !== 'rpc') continue;
    const stack = stacks.get(pid);
    if (stack === undefined) continue;
    const { needed, words } = follow(stack, open, stacks, nameOf);
    needs.push({ call: call.number, needs: needed, through: words });
  }
  return needs;
}

function follow(
  from: TaskStack,
  open: ReadonlyMap<number, readonly OpenCall[]>,
  stacks: ReadonlyMap<number, TaskStack>,
  nameOf: (pid: number) => string,
): { readonly needed: number; readonly words: string } {
  const words: string[] = [];
  const seen = new Set<number>();
  let stack = from;
  for (let way = 0; way < longestWay; way++) {
    seen.add(stack.pid);
    const blocked = blockedIn(stack);
    const holders =
      stack.ownerPid !== undefined
        ? [stack.ownerPid]
        : blocked.kind === 'resource'
          ? holdersOf(blocked.resource, stack, stacks)
          : blocked.kind === 'supplicant'
            ? supplicants(stacks)
            : [];
    const [holder] = holders;
    if (blocked.kind === 'supplicant' && holder === undefined) words.push(idleWords(stacks));
    else if (blocked.kind === 'supplicant') words.push(`tee-supplicant (${nameOf(holder ?? 0)})`);
    else if (holder !== undefined) words.push(`${blocked.words}, which ${nameOf(holder)} holds`);
    else words.push(blocked.words);
    if (holder === undefined || seen.has(holder)) break;
    const call = open.get(holder)?.at(-1);
    if (call !== undefined) return { needed: call.number, words: words.join('; ') };
    const next = stacks.get(holder);
    if (next === undefined) break;
    stack = next;
  }
  return { needed: 0, words: words.join('; ') };
}

function holdersOf(resource: string, waiter: TaskStack, stacks: ReadonlyMap<number, TaskStack>): number[] {
  return [...stacks.values()]
    .filter((other) => other.pid !== waiter.pid && hasResource(other, resource))
    .map(({ pid }) => pid);
}

const isSupplicant = ({ comm, frames }: TaskStack) =>
  comm.startsWith('tee-supplicant') || frames.includes('optee_supp_recv');

/** Tasks of tee-supplicant that are not idle. */
function supplicants(stacks: ReadonlyMap<number, TaskStack>): number[] {
  return [...stacks.values()]
    .filter((stack) => isSupplicant(stack) && blockedIn(stack).kind !== 'idle-supplicant')
    .map(({ pid }) => pid);
}

function idleWords(stacks: ReadonlyMap<number, TaskStack>): string {
  return [...stacks.values()].some(isSupplicant)
    ? 'an answer of tee-supplicant, which is idle'
    : 'an answer of tee-supplicant, which has no stack in the record: is it running?';
}
