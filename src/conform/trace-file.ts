import { z } from 'zod';
import { type ModelConfig, SESSION_COUNT } from '../explore/queue/model/queue-model.js';
import type { DisciplineName } from '../optee/call-queue/call-queue.js';

export const TRACE_FORMAT = 'optee-cq-trace/1';

/** The disciplines under the names that trace files use: those of Linux have names of the format's own. */
export const TRACE_VARIANTS: Readonly<Record<string, DisciplineName>> = {
  prepatch: 'linux-6.7',
  v6: 'patch-v6',
  upstream: 'linux-6.8',
  'hand-off': 'hand-off',
  'hand-off-a': 'hand-off-a',
  'hand-off-c': 'hand-off-c',
};
/** The names by which a file may call them: also those that the commands use. */
const variants: Readonly<Record<string, DisciplineName>> = {
  ...TRACE_VARIANTS,
  ...Object.fromEntries(Object.values(TRACE_VARIANTS).map((name) => [name, name])),
};

/** The discipline that a trace is of, by the name that the commands use. */
export function disciplineOf(variant: string): DisciplineName {
  const discipline = variants[variant];
  if (discipline === undefined) throw new TraceFileError(`unknown variant ${variant}`);
  return discipline;
}

/** `linux-6.7 (in the format: prepatch), hand-off`. */
const variantForm = Object.entries(TRACE_VARIANTS)
  .map(([variant, name]) => (variant === name ? name : `${name} (in the format: ${variant})`))
  .join(', ');

const count = z.int().min(0).max(0xffff);
const flag = z.union([z.literal(0), z.literal(1)]);
const session = z
  .int()
  .min(-1)
  .max(SESSION_COUNT - 1);

const operation = z.discriminatedUnion('op', [
  z.object({
    op: z.enum(['call', 'close']),
    own: z.enum(['cancel', 'bottom-half', 'unregister', 'register']).optional(),
    session,
    rpc: count.default(0),
    needs: z.int().min(-1).default(-1),
    forever: flag.default(0),
  }),
  z.object({ op: z.literal('system_session'), session }),
]);

const fields = z.record(z.string(), z.unknown());

const traceFile = z
  .object({
    format: z.literal(TRACE_FORMAT),
    variant: z.enum(Object.keys(variants), { error: `expected one of ${variantForm}` }),
    note: z.string().optional(),
    config: z.object({
      total_thread_count: count,
      secure_threads: count,
      initial_system_sessions: count.max(SESSION_COUNT),
      reserve: flag.optional(),
      callers: z.array(z.array(operation)).max(255),
    }),
    initial: fields,
    steps: z.array(
      z.object({
        n: z.int(),
        actor: z.int().min(0),
        op: z.string(),
        args: fields,
        result: fields,
        state: fields,
      }),
    ),
    final: z.object({ asleep: count, enabled: z.array(z.int().min(0)) }).optional(),
  })
  .superRefine(({ config }, context) => {
    config.callers.forEach((operations, caller) => {
      operations.forEach((each, index) => {
        if (each.op !== 'system_session' && each.needs >= config.callers.length) {
          const path = ['config', 'callers', caller, index, 'needs'];
          context.addIssue({ code: 'custom', path, message: `there is no caller ${each.needs}` });
        }
      });
    });
  });

/** Values of values: a state has three. */
const deepestValue = 32;
/** Problems that are told one by one, and the most characters of each. */
const problemsTold = 20;
const longestProblem = 500;

/** Without recursion: the file may be as deep as it is long. */
function isDeeperThan(json: unknown, most: number): boolean {
  let level: unknown[] = [json];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > most) return true;
    const next: unknown[] = [];
    for (const value of level)
      if (typeof value === 'object' && value !== null) for (const each of Object.values(value)) next.push(each);
    level = next;
  }
  return false;
}

/** A schedule of one discipline with every result and state: the format `optee-cq-trace/1`. */
export type TraceFile = z.infer<typeof traceFile>;

/** A trace file that is not JSON, or not of the format; the message names every field that is wrong. */
export class TraceFileError extends Error {
  override readonly name = 'TraceFileError';
}

/** @throws TraceFileError */
export function parseTraceFile(text: string): TraceFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    // The message quotes the file, which may be anything.
    const why = error instanceof Error ? error.message.replaceAll(/[^\x20-\x7e]/g, '.') : error;
    throw new TraceFileError(`not JSON: ${why}`);
  }
  if (isDeeperThan(json, deepestValue))
    throw new TraceFileError(
      `not a trace of format ${TRACE_FORMAT}: values may be nested at most ${deepestValue} deep`,
    );
  const parsed = traceFile.safeParse(json);
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  const wrong = issues
    .slice(0, problemsTold)
    .map(({ path, message }) => `${z.core.toDotPath(path) || 'file'}: ${message}`.slice(0, longestProblem));
  if (issues.length > problemsTold) wrong.push(`and ${issues.length - problemsTold} more`);
  throw new TraceFileError(`not a trace of format ${TRACE_FORMAT}: ${wrong.join('; ')}`);
}

/** The model that the trace describes. */
export function modelConfig({ variant, config }: TraceFile): ModelConfig {
  return {
    discipline: disciplineOf(variant),
    totalThreadCount: config.total_thread_count,
    secureThreads: config.secure_threads,
    initialSystemSessions: config.initial_system_sessions,
    ...(config.reserve === 1 ? { reserve: true } : {}),
    callers: config.callers.map((operations) =>
      operations.map((each) => (each.op === 'system_session' ? each : { ...each, forever: each.forever === 1 })),
    ),
  };
}
