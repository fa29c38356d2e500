import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { recordSchedule } from '../../src/conform/schedule-trace.js';
import { parseTraceFile } from '../../src/conform/trace-file.js';
import { CallState, Timeline, TraceTable } from '../../src/trace/index.js';

const folder = join(import.meta.dirname, 'traces');

it.each(readdirSync(folder).filter((name) => name.endsWith('.json')))(
  'shows the end of the schedule %s: which calls sleep, and which hold a thread',
  (name) => {
    const file = parseTraceFile(readFileSync(join(folder, name), 'utf8'));
    const table = new TraceTable();
    recordSchedule(file, table);
    const timeline = new Timeline(table);
    const states = timeline.stateAfter(table.length - 1).map(({ state }) => state);
    const actors = (file.steps[file.steps.length - 1]?.state.actors ?? []) as string[];
    const count = (pattern: RegExp) => actors.filter((state) => pattern.test(state)).length;
    expect(states.filter((state) => state === CallState.queue)).toHaveLength(count(/^asleep/));
    expect(states.filter((state) => state === CallState.rpc)).toHaveLength(count(/^in_rpc/));
    expect(states.filter((state) => state === CallState.secure)).toHaveLength(count(/^in_secure/));
  },
);
