/**
 * Hand-off in kernel C (`linux/hand-off/`), compiled for this machine, beside hand-off in TypeScript: the same sections in
 * the same order, the same answer and state after each.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelConfig, parseTraceFile } from '../../src/conform/trace-file.js';
import type { Operation } from '../../src/explore/queue/model/caller.js';
import { parseCallers } from '../../src/explore/queue/model/callers-notation.js';
import { type ModelConfig, QueueModel } from '../../src/explore/queue/model/queue-model.js';
import { type RecordedSection, recordedHandOff } from './recorded-queue.js';

const SOURCES = fileURLToPath(new URL('../../linux/hand-off/', import.meta.url));
const TRACES = fileURLToPath(new URL('../conform/traces/', import.meta.url));
const SEED = Number(process.env.PROPERTY_SEED ?? Date.now() % 0x8000_0000);
const RUNS = 300;
/** One of these, in every third operation. */
const OWN_CALLS = ['cancel', 'bottom-half', 'unregister', 'register'] as const;

const compiler = ['gcc', 'cc', 'clang'].find((name) => spawnSync(name, ['--version']).error === undefined);
if (compiler === undefined)
  console.info('hand-off in C: skipped, no C compiler (Debian: apt-get install gcc libc6-dev)');
else console.info(`hand-off in C: ${compiler}, PROPERTY_SEED=${SEED}`);

/** What is broken in the C file, the text, and what it becomes; the text stands in the file exactly once. */
const MUTANTS: readonly (readonly [what: string, text: string, becomes: string])[] = [
  [
    'nothing is handed on at a return',
    'cq->exits + 1);\n\tunlock_and_wake(cq, hand_on(cq));',
    'cq->exits + 1);\n\tunlock_and_wake(cq, NULL);',
  ],
  [
    'no caller is woken when a reservation ends',
    'cq->sys_sessions--;\n\tunlock_and_wake(cq, hand_on(cq));',
    'cq->sys_sessions--;\n\tunlock_and_wake(cq, NULL);',
  ],
  [
    'an outdated ETHREAD_LIMIT counts as a current one',
    'answer_is_old = w->exits_seen != cq->exits',
    'answer_is_old = false',
  ],
  ['exits are not counted', 'WRITE_ONCE(cq->exits, cq->exits + 1);', ''],
  [
    'a refused call goes to the tail',
    'list_add(&w->list_node, sleepers(cq, w))',
    'list_add_tail(&w->list_node, sleepers(cq, w))',
  ],
  ['no reserve', 'return 1;\n}', 'return 0;\n}'],
  ['the reserve is kept even with one thread', ' || cq->capacity - for_relief(cq) <= 1', ''],
  ['the thread for relief calls counts among the others', 'cq->capacity - for_relief(cq) <= 1', 'cq->capacity <= 1'],
  ['the reserve is kept beside a running system call', ' || cq->sys_in_flight)', ')'],
  ['nothing is learnt', 'cq->capacity = learnt;', ';'],
  ['one too few is learnt', 'learnt = in_flight(cq) - 1;', 'learnt = in_flight(cq) > 2 ? in_flight(cq) - 2 : 1;'],
  ['one too many is learnt', 'learnt = in_flight(cq) - 1;', 'learnt = in_flight(cq);'],
  ['nothing is learnt from an outdated ETHREAD_LIMIT', ': cq->capacity) - 1;', ': cq->capacity);'],
  ['a refused call keeps its token', 'take_token(cq, w);\n\t\t\tlist_add', 'list_add'],
  [
    'a refused caller that is alone sleeps instead of pausing',
    'alone = in_flight(cq) == 1 && !answer_is_old;',
    'alone = false;',
  ],
  ['a system call leaves the reserved thread free', 'if (!sys_thread)\n\t\tusable', 'usable'],
  ['a normal call may use every thread', 'if (!sys_thread)\n\t\tusable -= withheld(cq);', ''],
  ['one thread too many may be used', 'for_relief(cq)) < usable;', 'for_relief(cq)) <= usable;'],
  ['relief calls may use one thread too many', 'return in_flight(cq) < usable;', 'return in_flight(cq) <= usable;'],
  [
    'a call that leaves is counted as a normal one',
    '--*tokens(cq, w);',
    'if (w->sys_thread && !w->relief)\n\t\tcq->normal_in_flight--;\n\telse\n\t\t--*tokens(cq, w);',
  ],
  ['a relief call is an ordinary call', 'w->relief = true;', 'w->relief = false;'],
  ['every call is a relief call', 'w->relief = false;', 'w->relief = true;'],
  ['a relief call is counted as an ordinary call', 'if (w->relief)\n\t\treturn &cq->relief_in_flight;', ''],
  ['relief calls wait among the others', 'OPTEE_CQ_SYS_RELIEF : OPTEE_CQ_RELIEF]', 'OPTEE_CQ_SYS : OPTEE_CQ_NORMAL]'],
  ['no thread is kept for relief calls', 'return cq->keep_relief_thread && cq->capacity > 1 ? 1 : 0;', 'return 0;'],
  ['the only thread is kept for relief calls', ' && cq->capacity > 1 ? 1 : 0', ' ? 1 : 0'],
  [
    'a thread is kept for relief calls without being asked for',
    'cq->keep_relief_thread = false;',
    'cq->keep_relief_thread = true;',
  ],
  [
    'a running relief call does not count as using its thread',
    'max(cq->relief_in_flight, for_relief(cq))',
    'cq->relief_in_flight + for_relief(cq)',
  ],
  ['others take the thread for relief calls', 'max(cq->relief_in_flight, for_relief(cq))', 'cq->relief_in_flight'],
  [
    'a relief call takes what is kept for system sessions',
    'if (!sys_thread && cq->relief_in_flight >= for_relief(cq))\n\t\tusable -= withheld(cq);',
    '',
  ],
  [
    'a relief call of a system session takes nothing of that',
    '!sys_thread && cq->relief_in_flight',
    'cq->relief_in_flight',
  ],
  ['the thread for relief calls is withheld', ' && cq->relief_in_flight >= for_relief(cq))', ')'],
  ['the other classes are never looked at', 'class < OPTEE_CQ_CLASSES; class++) {', 'class < OPTEE_CQ_SYS; class++) {'],
  [
    'if no thread is free for the first class, the next class is not woken',
    'if (!has_room(cq, w->sys_thread, w->relief))\n\t\t\tcontinue;',
    'if (!has_room(cq, w->sys_thread, w->relief))\n\t\t\tbreak;',
  ],
  ['a woken call is given no token', 'give_token(cq, w);\n\t\treturn w;', 'return w;'],
  ['a refused call sleeps although there is room', 'if (in_flight(cq) > cq->capacity)', ''],
  [
    'a new caller sleeps although a thread is free',
    'if (has_room(cq, w->sys_thread, w->relief)) {',
    'if (!in_flight(cq)) {',
  ],
  [
    'a normal call is woken first, a relief call last',
    'for (class = 0; class < OPTEE_CQ_CLASSES; class++) {',
    'for (class = OPTEE_CQ_CLASSES - 1; class >= 0; class--) {',
  ],
  ['a woken call is not told of exits', 'w->exits_seen = READ_ONCE(cq->exits);', ''],
  ['a call that has its token is not woken', 'complete(&w->c);', ';'],
  ['an unknown capacity grants system sessions', ' && cq->capacity != OPTEE_CQ_UNKNOWN', ''],
  ['the most in flight is not noted', 'cq->most_in_flight = in_flight(cq);', ';'],
];

describe.skipIf(compiler === undefined)('hand-off in C', () => {
  let folder = '';
  let program = '';
  /** `drive.c`, compiled. */
  let driver = '';
  /** The same schedules at each run: whether a mutant is seen must not depend on luck. */
  let forMutants: readonly RecordedSection[] = [];
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'normalworld-hand-off-'));
    program = build('real', (text) => text);
    forMutants = [...rareSections(), ...randomSections(1)];
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function compile(args: readonly string[]): void {
    const flags = ['-Wall', '-Wextra', '-O1', '-fsanitize=undefined', '-fno-sanitize-recover'];
    execFileSync(compiler ?? 'cc', [...flags, ...args], { stdio: 'pipe' });
  }

  function compileDriver(sources: string): string {
    const object = join(folder, 'drive.o');
    compile(['-I', join(sources, 'host'), '-I', sources, '-c', join(sources, 'host/drive.c'), '-o', object]);
    return object;
  }

  function build(name: string, change: (text: string) => string): string {
    const sources = join(folder, name);
    mkdirSync(sources);
    cpSync(join(SOURCES, 'host'), join(sources, 'host'), { recursive: true });
    copyFileSync(join(SOURCES, 'call_queue.h'), join(sources, 'call_queue.h'));
    writeFileSync(join(sources, 'call_queue.c'), change(readFileSync(join(SOURCES, 'call_queue.c'), 'utf8')));
    const executable = join(sources, 'drive');
    compile(['-I', join(sources, 'host'), '-I', sources, '-c', join(sources, 'call_queue.c'), '-o', `${executable}.o`]);
    // What drives it knows the queue by its header, which no mutant changes.
    driver ||= compileDriver(sources);
    compile([driver, `${executable}.o`, '-o', executable]);
    return executable;
  }

  it('gives the answers and the states of hand-off in TypeScript on the recorded schedules', () => {
    const recorded = readdirSync(TRACES).flatMap((file) => {
      const trace = parseTraceFile(readFileSync(join(TRACES, file), 'utf8'));
      const actors = trace.steps.map(({ actor }) => actor);
      return walk({ ...modelConfig(trace), discipline: 'hand-off' }, actors);
    });
    expect(recorded.length).toBeGreaterThan(200);
    expect(firstDifference(program, recorded)).toBeUndefined();
  });

  it('and on schedules that random tests do not reach', () => {
    expect(firstDifference(program, rareSections())).toBeUndefined();
  });

  it(`and on ${RUNS} random ones`, () => {
    expect(firstDifference(program, randomSections(SEED))).toBeUndefined();
  });

  it('refuses a system session while the capacity is unknown, and with a single thread', () => {
    const answers = drive(program, ['init 0', 'reserve', 'init 1', 'reserve', 'init 2', 'reserve']);
    expect(answers.map((answer) => answer.split(' ')[0])).toEqual(['done', 'no', 'done', 'no', 'done', 'yes']);
  });

  it.each(MUTANTS)('differs with the mutation: %s', (what, text, becomes) => {
    const mutant = build(what.replaceAll(/\W/g, '-'), (source) => {
      expect(source.split(text).length - 1, 'places of the text').toBe(1);
      return source.replace(text, () => becomes);
    });
    expect(firstDifference(mutant, forMutants)).toBeDefined();
  });
});

/** What the C queue says to some commands; a crash or a hang counts as no further answer. */
function drive(program: string, commands: readonly string[]): string[] {
  const { stdout, stderr } = spawnSync(program, {
    input: `${commands.join('\n')}\n`,
    encoding: 'utf8',
    timeout: 20_000,
    maxBuffer: 1 << 28,
  });
  return `${stdout}${stderr}`.split('\n').filter((line) => line !== '');
}

function firstDifference(program: string, sections: readonly RecordedSection[]) {
  const answers = drive(
    program,
    sections.map(({ command }) => command),
  );
  const at = sections.findIndex(({ answer }, index) => answers[index] !== answer);
  if (at < 0) return undefined;
  const from = sections.findLastIndex(({ command }, index) => index <= at && command.startsWith('init'));
  return { history: sections.slice(from, at + 1), instead: answers[at] };
}

/** Lets callers step in this order, each as far as it can, then all in turn; gives the sections of the queue that ran. */
function walk(config: ModelConfig, actors: readonly number[]): RecordedSection[] {
  const { queue, sections } = recordedHandOff(config.totalThreadCount, config.reserve === true);
  const model = new QueueModel(config, queue);
  const step = (actor: number) => {
    const caller = model.callers[actor];
    if (caller === undefined || model.next(caller) === undefined) return false;
    model.step(caller);
    return true;
  };
  for (const actor of actors) step(actor);
  for (let limit = 30; limit > 0 && config.callers.map((_, actor) => step(actor)).includes(true); limit--);
  return sections;
}

/** Sections of schedules in which what is kept for one class matters to another. */
function rareSections(): readonly RecordedSection[] {
  const of = (threads: number, sessions: number, reserve: boolean, callers: string, actors: readonly number[]) =>
    walk(
      {
        discipline: 'hand-off',
        totalThreadCount: threads,
        secureThreads: threads,
        initialSystemSessions: sessions,
        reserve,
        ...parseCallers(callers),
      },
      actors,
    );
  return [
    // A normal call sleeps beside the thread of a system session, and that ends.
    of(2, 1, false, 'N!,N,C', [0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2]),
    // A session becomes a system session when normal calls have all but the thread for relief calls.
    of(3, 0, true, 'N!,N!,M,B', [0, 0, 0, 1, 1, 1, 2, 3, 3, 3]),
  ].flat();
}

/** The sections of random schedules of random callers. */
function randomSections(seed: number): readonly RecordedSection[] {
  let state = seed | 1;
  const below = (bound: number) => {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
  const operation = (): Operation => {
    const session = below(4) - 1;
    if (below(7) === 0) return { op: 'system_session', session };
    const own = OWN_CALLS[below(3 * OWN_CALLS.length)];
    if (own !== undefined) return { op: 'call', own, session, rpc: below(2), needs: -1, forever: false };
    return { op: below(6) === 0 ? 'close' : 'call', session, rpc: below(2), needs: -1, forever: false };
  };
  const list = <T>(length: number, item: () => T) => Array.from({ length }, item);
  return list(RUNS, () => {
    const totalThreadCount = below(5);
    return walk(
      {
        discipline: 'hand-off',
        totalThreadCount,
        // None at all, too: whoever is refused alone pauses.
        secureThreads: below(10) === 0 ? 0 : 1 + below(totalThreadCount || 4),
        initialSystemSessions: below(3),
        reserve: below(2) === 0,
        callers: list(1 + below(7), () => list(1 + below(3), operation)),
      },
      list(120, () => below(7)),
    );
  }).flat();
}
