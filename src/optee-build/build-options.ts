import { createHash } from 'node:crypto';

/** Debian suites whose source package of OP-TEE OS includes the QEMU platform. */
export const buildSuites = ['trixie', 'sid'] as const;
export type BuildSuite = (typeof buildSuites)[number];

/** Options of a build of OP-TEE OS. */
export interface BuildOptions {
  readonly suite: BuildSuite;
  /** Build OP-TEE as its own FF-A partition manager (CFG_CORE_SEL1_SPMC). */
  readonly ffa?: boolean;
  /** Also support secure storage in RPMB. OP-TEE writes its test key into a card without a key (CFG_RPMB_...). */
  readonly rpmb?: boolean;
  /** Include the SCMI server, with the clocks, regulators and resets of `scmi-platform/`. */
  readonly scmi?: boolean;
  /** CFG_NUM_THREADS */
  readonly threads?: number | undefined;
  /** CFG_TEE_CORE_LOG_LEVEL */
  readonly logLevel?: number | undefined;
  /** CFG_TEE_CORE_NB_CORE */
  readonly cores?: number | undefined;
  /** CFG_WITH_PAGER */
  readonly pager?: boolean;
  /** CFG_CORE_RESERVED_SHM */
  readonly reservedShm: boolean;
  /** CFG_CORE_DYN_SHM */
  readonly dynamicShm: boolean;
  /**
   * Support profiling of applications: heap statistics, GPROF and FTRACE, line numbers in its ELF file, and a TA dev
   * kit.
   */
  readonly profiling?: boolean;
  /** Without assertions, and with only errors on the console. */
  readonly release?: boolean;
  /** Further variables of OP-TEE's build. They override all others. */
  readonly set: readonly BuildVariable[];
}

export interface BuildVariable {
  readonly name: string;
  readonly value: string;
}

/** Limits of the options, with the build variable of each. */
export const buildLimits = {
  threads: { variable: 'CFG_NUM_THREADS', low: 1, high: 64 },
  logLevel: { variable: 'CFG_TEE_CORE_LOG_LEVEL', low: 0, high: 4 },
  cores: { variable: 'CFG_TEE_CORE_NB_CORE', low: 1, high: 8 },
} as const;

/** @throws RangeError if it is not an assignment of a variable of OP-TEE's build. */
export function parseBuildVariable(text: string): BuildVariable {
  const { name, value } = /^(?<name>CFG_[A-Za-z0-9_]+)=(?<value>[^\s'"$;|&<>()`\\]*)$/.exec(text)?.groups ?? {};
  if (name === undefined || value === undefined)
    throw new RangeError(
      `"${text}" is not a variable of OP-TEE's build: expected CFG_NAME=value, without blanks and quotes`,
    );
  return { name, value };
}

const profilingVariables = ['TA_STATS', 'TA_GPROF_SUPPORT', 'FTRACE_SUPPORT', 'DEBUG_INFO'].map(
  (name) => `CFG_${name}=y`,
);

const scmiVariables = [
  ...['PTA', 'MSG_DRIVERS', 'MSG_CLOCK', 'MSG_RESET_DOMAIN', 'MSG_VOLTAGE_DOMAIN'],
  ...['MSG_SHM_MSG', 'MSG_SMT', 'MSG_SMT_THREAD_ENTRY'],
].map((name) => `CFG_SCMI_${name}=y`);

/** The assignments on make's command line, in order; a later assignment overrides an earlier one. */
export function makeVariables(options: BuildOptions): string[] {
  const numbers = (['threads', 'logLevel', 'cores'] as const).flatMap((key) => {
    const value = options[key];
    return value === undefined ? [] : [`${buildLimits[key].variable}=${value}`];
  });
  const all = [
    // The settings of Debian's own package.
    ...['PLATFORM=vexpress-qemu_armv8a', 'CFG_ARM64_core=y', 'CFG_ARM_GICV3=y', 'CFG_USER_TA_TARGETS=ta_arm64'],
    'CFG_TEE_CORE_LOG_LEVEL=3',
    // The applications come from Debian's packages. Debug information triples time and size.
    ...['CFG_BUILD_IN_TREE_TA=n', 'CFG_DEBUG_INFO=n'],
    ...(options.ffa ? ['CFG_CORE_SEL1_SPMC=y'] : []),
    ...(options.rpmb ? ['CFG_RPMB_FS=y', 'CFG_RPMB_WRITE_KEY=y', 'CFG_RPMB_TESTKEY=y'] : []),
    ...(options.scmi ? scmiVariables : []),
    ...(options.profiling ? profilingVariables : []),
    ...(options.pager ? ['CFG_WITH_PAGER=y'] : []),
    ...(options.reservedShm ? [] : ['CFG_CORE_RESERVED_SHM=n']),
    ...(options.dynamicShm ? [] : ['CFG_CORE_DYN_SHM=n']),
    ...(options.release ? ['CFG_TEE_CORE_DEBUG=n', 'CFG_TEE_CORE_LOG_LEVEL=1'] : []),
    ...numbers,
    ...options.set.map(({ name, value }) => `${name}=${value}`),
  ];
  const last = new Map(all.map((assignment) => [assignment.slice(0, assignment.indexOf('=')), assignment]));
  return [...last.values()];
}

const maxNameLength = 120;

/**
 * The name of a build, from its suite and options: independent of their order. It is the name of its folder and the
 * argument of `--optee`.
 */
export function buildName(options: BuildOptions): string {
  const set = [...new Map(options.set.map(({ name, value }) => [name, value]))].sort(([a], [b]) => (a < b ? -1 : 1));
  const parts = [
    options.suite,
    ...(options.ffa ? ['ffa'] : []),
    ...(options.rpmb ? ['rpmb'] : []),
    ...(options.scmi ? ['scmi'] : []),
    ...(options.threads === undefined ? [] : [`threads${options.threads}`]),
    ...(options.cores === undefined ? [] : [`cores${options.cores}`]),
    ...(options.logLevel === undefined ? [] : [`log${options.logLevel}`]),
    ...(options.pager ? ['pager'] : []),
    ...(options.reservedShm ? [] : ['no-reserved-shm']),
    ...(options.dynamicShm ? [] : ['no-dynamic-shm']),
    ...(options.release ? ['release'] : []),
    ...(options.profiling ? ['profiling'] : []),
    ...set.map(([name, value]) => `${name.replace(/^CFG_/, '')}=${value.replaceAll(/[^\w.,+=-]/g, '_')}`),
  ];
  const name = parts.join('-');
  const exact = set.every(([, value]) => /^[\w.,+=-]*$/.test(value));
  if (exact && name.length <= maxNameLength) return name;
  const digest = createHash('sha256').update(JSON.stringify(set)).digest('hex').slice(0, 12);
  return `${name.slice(0, maxNameLength)}-${digest}`;
}
