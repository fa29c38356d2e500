import { z } from 'zod';
import { type ModelConfig, SESSION_COUNT } from '../explore/queue/model/queue-model.js';
import type { DisciplineName } from '../optee/call-queue/call-queue.js';

export const TRACE_FORMAT = 'optee-cq-trace/1';

/** The names of disciplines in trace files. Linux's disciplines have names of their own in this format. */
export const TRACE_VARIANTS: Readonly<Record<string, DisciplineName>> = {
  prepatch: 'linux-6.7',
  v6: 'patch-v6',
  upstream: 'linux-6.8',
  'hand-off': 'hand-off',
  'hand-off-a': 'hand-off-a',
  'hand-off-c': 'hand-off-c',
};
/** All accepted names, including those of the commands. */
const variants: Readonly<Record<string, DisciplineName>> = {
  ...TRACE_VARIANTS,
  ...Object.fromEntries(Object.values(TRACE_VARIANTS).map((name) => [name, name])),
};

/** The discipline of a trace, under the name that the commands use. */
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

/** Largest nesting depth of a value; states need three. */
const deepestValue = 32;
/** Largest number of problems that are reported, and of characters of each. */
const problemsTold = 20;
const longestProblem = 500;

/** Not recursive, because the nesting may be as deep as the file is long. */
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

/** A schedule of one discipline with all results and states: format `optee-cq-trace/1`. */
export type TraceFile = z.infer<typeof traceFile>;

/** The trace file is not valid JSON or does not match the format; the message names every invalid field. */
export class TraceFileError extends Error {
  override readonly name = 'TraceFileError';
}

/** @throws TraceFileError */
export function parseTraceFile(text: string): TraceFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    // The message quotes the file, so remove non-printable characters.
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

/** The configuration of the model for the trace. */
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
