import { createHash } from 'node:crypto';

/** Debian suites whose source package of OP-TEE OS has the port for QEMU. */
export const buildSuites = ['trixie', 'sid'] as const;
export type BuildSuite = (typeof buildSuites)[number];

/** How OP-TEE OS is to be built. */
export interface BuildOptions {
  readonly suite: BuildSuite;
  /** It is its own FF-A partition manager (CFG_CORE_SEL1_SPMC). */
  readonly ffa?: boolean;
  /** Secure storage in RPMB as well, whose key it writes into a card that has none: OP-TEE's test key (CFG_RPMB_...). */
  readonly rpmb?: boolean;
  /** Its SCMI server, with the clocks, regulators and resets of `scmi-platform/`. */
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
  /** What measures applications: heap statistics, GPROF and FTRACE, with lines in its ELF; and its own TA dev kit. */
  readonly profiling?: boolean;
  /** Without assertions and with errors alone on the console. */
  readonly release?: boolean;
  /** Further variables of OP-TEE's build; they win over all others. */
  readonly set: readonly BuildVariable[];
}

export interface BuildVariable {
  readonly name: string;
  readonly value: string;
}

/** What an option may be, with the variable that it is. */
export const buildLimits = {
  threads: { variable: 'CFG_NUM_THREADS', low: 1, high: 64 },
  logLevel: { variable: 'CFG_TEE_CORE_LOG_LEVEL', low: 0, high: 4 },
  cores: { variable: 'CFG_TEE_CORE_NB_CORE', low: 1, high: 8 },
} as const;

/** @throws RangeError when it is no assignment of a variable of OP-TEE's build. */
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

/** The assignments on make's command line, in order: of two for one variable the later one counts. */
export function makeVariables(options: BuildOptions): string[] {
  const numbers = (['threads', 'logLevel', 'cores'] as const).flatMap((key) => {
    const value = options[key];
    return value === undefined ? [] : [`${buildLimits[key].variable}=${value}`];
  });
  const all = [
    // What Debian's own package is built with.
    ...['PLATFORM=vexpress-qemu_armv8a', 'CFG_ARM64_core=y', 'CFG_ARM_GICV3=y', 'CFG_USER_TA_TARGETS=ta_arm64'],
    'CFG_TEE_CORE_LOG_LEVEL=3',
    // Its applications come from Debian's packages; debug information triples the time and the size.
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
 * The name of a build: its suite and its options, the same for the same options in any order. It is the name of a folder and
 * what `--optee` takes.
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
