import type { TaskStack } from './task-stacks.js';

/** What a task is blocked in, according to its stack. */
export interface Blockage {
  /**
   * `queue`: OP-TEE's call queue. `supplicant`: an answer of tee-supplicant. `idle-supplicant`: the task is
   * tee-supplicant itself, waiting for a request. `resource`: something that only one task can hold. `other`: anything
   * else.
   */
  readonly kind: 'queue' | 'supplicant' | 'idle-supplicant' | 'resource' | 'other';
  /** A description for the user. */
  readonly words: string;
  /** For `queue`: the call has not entered secure world yet. */
  readonly beforeEntry: boolean;
  /** Name of the resource; empty for other kinds. */
  readonly resource: string;
}

/**
 * Functions of the scheduler and of generic waiting. They occur in every sleeping task and do not show what it waits
 * for.
 */
const sleeping =
  /^(?:__switch_to|__schedule|schedule|preempt_schedule|io_schedule|__?wait_for_common|wait_for_completion|do_wait_for_common|__wait_for_common|wait_woken|do_wait|_?cond_resched|prepare_to_wait|bit_wait|out_of_line_wait|__wait_on_bit|wait_on_bit|rt_mutex_schedule|__down|___down|down|rwsem_|msleep|usleep_range|swait_|_raw_|context_switch|el\d_|percpu_rwsem|ww_mutex|context)\w*$/;
const lock =
  /^(?:_{0,4}mutex_lock|__ww_mutex|ww_mutex|_{0,4}rt_mutex|rt_mutex|rwsem_down|down_|__down|___down|down$)\w*$/;

interface Resource {
  readonly name: string;
  readonly words: string;
  /** Functions in which tasks wait for the resource. */
  readonly waits: RegExp;
  /** Functions in which a task holds it. */
  readonly has: RegExp;
  /** Only if the task waits for a mutex in the function, because the function also does other things. */
  readonly mutex?: boolean;
}

/** Resources of the kernel through which an RPC can depend on another call. */
const resources: readonly Resource[] = [
  {
    name: 'clk',
    words: "the clocks' prepare lock",
    waits: /^clk_prepare_lock$/,
    has: /^(?:__)?clk_(?!prepare_lock|prepare_unlock)\w+$/,
  },
  {
    name: 'mmc',
    words: "the claim of the eMMC's host",
    waits: /^(?:__mmc_claim_host|mmc_claim_host|mmc_get_card)$/,
    has: /^(?:__)?(?:mmc|sdhci|mmcblk)_?\w+$/,
  },
  {
    name: 'scmi',
    words: 'the SCMI channel',
    waits: /^(?:scmi_optee_send_message|do_xfer)$/,
    has: /^scmi_optee_send_message$/,
    mutex: true,
  },
  {
    name: 'regulator',
    words: "a regulator's lock",
    waits: /^regulator_lock\w*$/,
    has: /^_?regulator_(?!lock)\w+$/,
  },
  {
    name: 'genpd',
    words: "a power domain's lock",
    waits: /^genpd_lock\w*$/,
    has: /^(?:_?genpd_|pm_genpd_)(?!lock)\w+$/,
  },
  {
    name: 'i2c',
    words: 'the I2C bus',
    waits: /^(?:i2c_adapter_lock_bus|i2c_mux_lock_bus)$/,
    has: /^_{0,2}i2c_(?!adapter_lock|mux_lock)\w+$/,
  },
  { name: 'tpm', words: "the TPM's lock", waits: /^(?:tpm_try_get_ops|tpm_transmit)$/, has: /^tpm\w+$/, mutex: true },
  {
    name: 'rpm',
    words: "a device's power transition",
    waits: /^(?:rpm_resume|rpm_suspend|__pm_runtime_barrier)$/,
    has: /^rpm_\w+$/,
  },
];

/** Other places in which a task can be blocked, by function. */
const places: readonly (readonly [RegExp, Blockage['kind'], string])[] = [
  [/^optee_supp_thrd_req$/, 'supplicant', 'an answer of tee-supplicant'],
  [/^optee_supp_recv$/, 'idle-supplicant', 'a request, as an idle tee-supplicant does'],
  [
    /^(?:optee_notif_wait|handle_rpc_func_cmd_wait|handle_rpc_func_cmd_wq|wq_sleep)$/,
    'other',
    'a notification of secure world',
  ],
  [/^handle_rpc_func_cmd_suspend$/, 'other', 'time to pass (TEE_Wait)'],
  [
    /^(?:mmc_wait_for_req_done|mmc_wait_for_cmd|__mmc_start_req|mmc_blk_rw_wait|mmc_wait_for_req)$/,
    'other',
    'an answer of the eMMC',
  ],
  [/^(?:scmi_wait_for_message_response|scmi_wait_for_reply)$/, 'other', 'an answer of SCMI'],
  [/^(?:try_to_free_pages|do_try_to_free_pages|shrink_\w+|throttle_direct_reclaim)$/, 'other', 'memory'],
  [/^(?:__refrigerator|refrigerator)$/, 'other', 'the freezer: the system suspends'],
];

export function blockedIn({ frames }: Pick<TaskStack, 'frames'>): Blockage {
  const queued = frames.indexOf('optee_cq_wait_for_completion');
  const where = frames.findIndex((frame) => !sleeping.test(frame) && !lock.test(frame));
  const blockage = (kind: Blockage['kind'], words: string, resource = '', beforeEntry = false): Blockage => ({
    kind,
    words,
    resource,
    beforeEntry,
  });
  const behind = frames[queued + 1] ?? '';
  // Older compilers inline the wait into its caller.
  if (queued >= 0 && queued <= where)
    return blockage('queue', "OP-TEE's call queue", '', /^optee_cq_wait_init$/.test(behind));
  const place = frames[where] ?? '';
  if (/^optee_cq_wait_(?:init|for_completion|final)$/.test(place))
    return blockage('queue', "OP-TEE's call queue", '', place === 'optee_cq_wait_init');
  const mutex = frames.slice(0, Math.max(where, 0)).some((frame) => lock.test(frame));
  for (const { waits, words, name, mutex: only = false } of resources)
    if (waits.test(place) && (mutex || !only)) return blockage('resource', words, name);
  // Skip the functions that allocate or wait on behalf of the resource.
  for (const frame of frames.slice(Math.max(where, 0), where + 4))
    for (const [pattern, kind, words] of places) if (pattern.test(frame)) return blockage(kind, words);
  if (place === '') return blockage('other', 'an event that its stack does not show');
  return blockage(mutex ? 'resource' : 'other', mutex ? `a lock in ${place}` : place, mutex ? `lock ${place}` : '');
}

/** Functions in which the driver handles an RPC, over SMC and over FF-A. */
const rpcHandler = /^(?:optee_handle_(?:ffa_)?rpc|handle_(?:ffa_)?rpc_func_cmd\w*|optee_rpc_cmd|optee_supp_thrd_req)$/;

/** Whether the task is in an RPC of a call that it made, so that the call holds a thread of secure world. */
export function isInRpc({ frames }: Pick<TaskStack, 'frames'>): boolean {
  return frames.some((frame) => rpcHandler.test(frame));
}

/** Functions that enter secure world, and the functions of the driver that call them. */
const entry = /^_{0,4}arm_(?:smccc|ffa)_\w*(?:smc|hvc)\w*$/;
const entering = /^(?:optee_smccc_smc|optee_smccc_hvc|optee_(?:smc_)?do_call_with_arg|optee_ffa_yielding_call)$/;

/** Whether the task is in secure world for a call of OP-TEE. */
export function isInSecureWorld({ frames }: Pick<TaskStack, 'frames'>): boolean {
  return entry.test(frames[0] ?? '') && frames.some((frame) => entering.test(frame));
}

/** Whether the task holds the resource, and does not only wait for it. */
export function hasResource({ frames }: Pick<TaskStack, 'frames'>, resource: string): boolean {
  const known = resources.find(({ name }) => name === resource);
  return (
    known !== undefined && blockedIn({ frames }).resource !== resource && frames.some((frame) => known.has.test(frame))
  );
}
