import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { viewerPage } from '../../dist/trace/node/index.js';
import { recordSchedule } from '../../src/conform/schedule-trace.js';
import { parseTraceFile } from '../../src/conform/trace-file.js';
import type { Session } from '../../src/index.js';
import { parseScenario } from '../../src/scenario/file/scenario-file.js';
import { runScenario } from '../../src/scenario/run-scenario.js';
import { encodeEvent, MemoryRecorder, type TraceTable } from '../../src/trace/index.js';
import { lonelyUuid, recorded, sleeperUuid } from '../trace/record.js';

const executablePath = '/usr/bin/chromium';
const template = join(import.meta.dirname, '../../dist/viewer/index.html');
const missing = [executablePath, template].filter((path) => !existsSync(path));
if (missing.length > 0) console.log(`the timeline page is not tested: ${missing.join(', ')} is not there`);

/** A file again, from what was read of one. */
function bytesOf(table: TraceTable): Uint8Array {
  const recorder = new MemoryRecorder({ maxBytes: 2 ** 28 });
  recorder.describe(table.subject);
  for (const event of table.events()) encodeEvent(recorder, event.time, event);
  return recorder.toBytes();
}

const contended = async (queue: 'linux-6.8' | 'hand-off') =>
  bytesOf(
    await recorded({ queue }, async (tee) => {
      const sessions: Session[] = [];
      for (const label of ['alice', 'bob', 'carol'])
        sessions.push(await tee.openContext({ label }).openSession(sleeperUuid));
      await Promise.all([10, 30, 1].map((time, index) => sessions[index]?.invoke(time)));
      tee.trace.mark('everybody is back');
    }),
  );

/** Calls of eight clients on four threads, a million events in all. */
function million(): Uint8Array {
  const recorder = new MemoryRecorder({ maxBytes: 2 ** 28 });
  recorder.describe({ world: 'simulated', queue: 'hand-off', threads: 4, clock: 'machine' });
  for (let call = 1; call <= 125_000; call++) {
    const at = (step: number) => call * 0.01 + step * 0.004;
    const put = (step: number, event: Parameters<typeof encodeEvent>[2]) => encodeEvent(recorder, at(step), event);
    put(0, { type: 'call-begin', call, context: `client ${call % 8}`, purpose: 'invoke', session: 1, system: false });
    put(1, { type: 'queue-sleep', call, limit: false });
    put(1, { type: 'queue-wake', call, by: 0, asleep: true });
    put(1, { type: 'world-enter', call, function: 0x3200_0013 });
    put(1.5, { type: 'world-exit', call, a0: 0xffff_0005, thread: call % 4 });
    put(1.5, { type: 'rpc-begin', call, command: 2 });
    put(2, { type: 'world-enter', call, function: 0x3200_0003 });
    put(2.4, { type: 'call-end', call, smcReturn: 0 });
  }
  return recorder.toBytes();
}

describe.skipIf(missing.length > 0)('the timeline page', () => {
  const folder = mkdtempSync(join(tmpdir(), 'normalworld-viewer-'));
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  });
  afterEach(() => page?.close());
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true });
  });

  async function open(...traces: Uint8Array[]): Promise<string[]> {
    const file = join(folder, 'page.html');
    writeFileSync(file, viewerPage(traces.map((bytes, index) => ({ name: `trace "${index + 1}".nwt`, bytes }))));
    page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    await page.goto(pathToFileURL(file).href);
    await page.waitForSelector(traces.length > 0 ? 'html[data-ready]' : '#drop input', { state: 'attached' });
    return errors;
  }
  const panel = () => page.locator('#panel').innerText();

  it('draws lanes in their colours, and shows the state at the end', async () => {
    const errors = await open(await contended('hand-off'));
    // In virtual time much takes none: in the order of events all of it is to be seen.
    await page.keyboard.press('o');
    expect(await coloursOf(page)).toEqual(expect.arrayContaining(['secure', 'rpc', 'queue']));
    expect(await panel()).toMatch(/ASLEEP IN THE QUEUE: 0/);
    expect(await page.locator('h1').innerText()).toContain('hand-off');
    expect(errors).toEqual([]);
  });

  it('steps through the events by keys and describes each', async () => {
    await open(await contended('hand-off'));
    await page.locator('#stage').focus();
    const said = new Set<string>();
    for (let step = 0; step < 16; step++) {
      await page.keyboard.press('[');
      said.add(await page.locator('#status').innerText());
    }
    expect([...said].join('\n')).toMatch(
      /enters secure world[\s\S]*woken, by call|woken, by call[\s\S]*enters secure world/,
    );
    await expect.poll(panel).toMatch(/bob|alice|carol/);
  });

  it('chooses a call by keys, shows its history, and zooms to it', async () => {
    await open(await contended('hand-off'));
    await page.locator('#stage').focus();
    await page.keyboard.press('0');
    for (let lane = 0; lane < 6; lane++) await page.keyboard.press('ArrowDown');
    expect(await page.locator('#status').innerText()).toMatch(/^carol/);
    await page.keyboard.press('p');
    expect(await page.locator('#status').innerText()).toMatch(/^Call \d+ of carol, invoke.*asleep in the queue 10/);
    await expect.poll(panel).toMatch(/Call #\d+ of carol[\s\S]*asleep in the queue[\s\S]*from alice/);
    const before = await page.locator('#canvas').screenshot();
    await page.keyboard.press('Enter');
    await page.waitForTimeout(50);
    expect(before.equals(await page.locator('#canvas').screenshot())).toBe(false);
  });

  it('searches calls, and shows them as a table', async () => {
    await open(await contended('linux-6.8'));
    await page.keyboard.press('/');
    await page.keyboard.type('carol');
    await expect.poll(() => page.locator('#match-count').innerText()).toBe('2 matches');
    await page.keyboard.press('Enter');
    await expect.poll(panel).toContain('of carol');
    await page.getByRole('button', { name: 'Table' }).click();
    const rows = page.locator('#table tbody tr');
    expect(await rows.count()).toBe(2);
    expect(await rows.nth(1).innerText()).toMatch(/carol\s+invoke/);
    await rows.nth(1).getByRole('button').click();
    await expect.poll(panel).toContain('Call #');
  });

  it('sorts the table by duration, by keys, and back', async () => {
    await open(await contended('linux-6.8'));
    await page.keyboard.press('t');
    const takes = () =>
      page
        .locator('#table tbody tr td:nth-child(5)')
        .allInnerTexts()
        .then((cells) => cells.map((cell) => Number.parseFloat(cell)));
    const before = await takes();
    const header = page.getByRole('button', { name: 'Takes' });
    await header.focus();
    await page.keyboard.press('Enter');
    const sorted = await takes();
    expect(sorted[0]).toBe(Math.max(...before.filter((value) => !Number.isNaN(value))));
    expect(await page.locator('th[aria-sort=descending]').innerText()).toContain('Takes');
    await page.keyboard.press('Enter');
    expect(await takes()).toEqual(before);
  });

  it('draws the cycle of a deadlock at the cursor, and describes it', async () => {
    const recorder = new MemoryRecorder();
    const scenario = readFileSync(join(import.meta.dirname, '../../scenarios/rpmb-scmi-deadlock.yaml'), 'utf8');
    await runScenario(parseScenario(scenario, 'deadlock.yaml'), { queues: ['linux-6.7'], record: () => recorder });
    const errors = await open(recorder.toBytes());
    await expect
      .poll(panel)
      .toMatch(/DEADLOCK[\s\S]*1\s+scmi #\d+ sleeps[\s\S]*2\s+thread \d, storage \d #\d+: its RPMB_FRAMES RPC/);
    expect(await coloursOf(page)).toContain('deadlock');
    await page.locator('#stage').focus();
    await page.keyboard.press('[');
    expect(await page.locator('#status').innerText()).toMatch(/Deadlock: scmi #\d+ sleeps in the queue/);
    // At the beginning everybody still gets on.
    await page.mouse.move(300, 500);
    await expect.poll(panel).not.toMatch(/NOBODY HERE CAN GO ON/);
    expect(await coloursOf(page)).not.toContain('deadlock');
    expect(errors).toEqual([]);
  });

  it('links a notification to the call that waited for it', async () => {
    const table = await recorded({}, async (tee) => {
      const sessions: Session[] = [];
      for (const label of ['alice', 'bob']) sessions.push(await tee.openContext({ label }).openSession(lonelyUuid));
      await Promise.all(sessions.map((session) => session.invoke(10)));
    });
    await open(bytesOf(table));
    expect(await coloursOf(page)).toContain('notification');
  });

  it('zooms by wheel at the pointer, and back', async () => {
    await open(await contended('hand-off'));
    const whole = await page.locator('#canvas').screenshot();
    await page.mouse.move(700, 300);
    await page.mouse.wheel(0, -600);
    await page.waitForTimeout(50);
    expect(whole.equals(await page.locator('#canvas').screenshot())).toBe(false);
    await page.getByRole('button', { name: 'Fit' }).click();
    await page.mouse.move(700, 690);
    await page.waitForTimeout(50);
    expect(await coloursOf(page)).toContain('rpc');
  });

  it('shows two runs one above the other, and an unused wake-up in one of them only', async () => {
    const errors = await open(await contended('linux-6.8'), await contended('hand-off'));
    expect(await page.locator('#panel h2').allInnerTexts()).toEqual(['linux-6.8', 'hand-off']);
    expect(await panel()).toMatch(/Unused wake-ups so far\s+1[\s\S]*Unused wake-ups so far\s+0/);
    expect(errors).toEqual([]);
  });

  it('draws an unused wake-up in red only if another call slept', async () => {
    for (const sleeps of [false, true]) {
      const recorder = new MemoryRecorder();
      recorder.describe({ world: 'simulated', queue: 'linux-6.8', threads: 2 });
      const put = (time: number, event: Parameters<typeof encodeEvent>[2]) => encodeEvent(recorder, time, event);
      ['a', 'b', 'c'].forEach((context, index) => {
        const call = index + 1;
        put(call, { type: 'call-begin', call, context, purpose: 'invoke', session: 1, system: false });
        if (call === 3 && sleeps) put(call, { type: 'queue-sleep', call, limit: false });
        else put(call, { type: 'world-enter', call, function: 0x3200_0013 });
      });
      put(5, { type: 'queue-wake', call: 2, by: 1, asleep: false });
      put(5, { type: 'call-end', call: 1, smcReturn: 0 });
      put(9, { type: 'call-end', call: 2, smcReturn: 0 });
      put(9, { type: 'call-end', call: 3, smcReturn: 0 });
      await open(recorder.toBytes());
      expect(await panel()).toMatch(/Unused wake-ups so far\s+1/);
      expect((await coloursOf(page)).includes('bad')).toBe(sleeps);
    }
  });

  it('follows the colour scheme', async () => {
    await open(await contended('hand-off'));
    const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const light = await background();
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await background()).not.toBe(light);
    expect(await coloursOf(page)).toContain('rpc');
  });

  const scenarioTrace = async (name: string, queue: 'linux-6.7' | 'linux-6.8' | 'hand-off') => {
    const recorder = new MemoryRecorder();
    const text = readFileSync(join(import.meta.dirname, `../../scenarios/${name}.yaml`), 'utf8');
    await runScenario(parseScenario(text, name), { queues: [queue], record: () => recorder });
    return recorder.toBytes();
  };

  it("shows in the board's own time since when it hangs", async () => {
    const record = join(import.meta.dirname, '../../linux/findings/records/linux-6.12-stock-2.txt.gz');
    const main = join(import.meta.dirname, '../../dist/cli/main.js');
    const out = join(folder, 'board.nwt');
    execFileSync(process.execPath, [main, 'trace', 'import', record, '--out', out]);
    await open(readFileSync(out));
    const verdict = await page.locator('#verdicts').innerText();
    expect(verdict).toMatch(/^STARVED, since 1[34]\.\d{6} s$/);
  });

  it('opens where the deadlock of a board formed, with its cycle, although it hung for minutes', async () => {
    const out = join(folder, 'deadlock.nwt');
    const main = join(import.meta.dirname, '../../dist/cli/main.js');
    const at = (ms: number) => (100 + ms / 1000).toFixed(6);
    const entry = '(32000013, 0, 0, 0, 0, 0, 0, 0)';
    const record = [
      ` a-401 [000] ..... ${at(0)}: optee_invoke_fn_begin: param=1 ${entry}`,
      ` a-401 [000] ..... ${at(1)}: optee_invoke_fn_end: param=1 ret (ffff0005, 0, 0, 0)`,
      ` a-401 [000] ..... ${at(2)}: optee_invoke_fn_begin: param=2 ${entry}`,
      ` a-401 [000] ..... ${at(3)}: optee_invoke_fn_end: param=2 ret (1, 0, 0, 0)`,
      ` irq-5 [001] ..... ${at(230_000)}: irq_handler_exit: irq=10 ret=handled`,
    ];
    writeFileSync(join(folder, 'deadlock.txt'), record.join('\n'));
    execFileSync(process.execPath, [main, 'trace', 'import', join(folder, 'deadlock.txt'), '--out', out]);
    await open(readFileSync(out));
    expect(await page.locator('#verdicts').innerText()).toMatch(/^DEADLOCK, closed at 100\.003000 s$/);
    expect(await panel()).toMatch(/DEADLOCK: none of these calls can continue/i);
    expect(await panel()).toMatch(/call 1: its RPC waits for call 2 \(a-401 itself, within the RPC\)/);
    expect(await coloursOf(page)).toEqual(expect.arrayContaining(['secure', 'rpc', 'queue', 'deadlock']));
    await page.getByRole('button', { name: 'Table' }).click();
    expect(await page.locator('#table tbody').innerText()).not.toContain('unknown');
  });

  it('shows the verdict with its reason on top, and opens where the cycle closed', async () => {
    await open(await scenarioTrace('rpmb-scmi-deadlock', 'linux-6.7'));
    expect(await page.locator('#verdicts').innerText()).toMatch(/^DEADLOCK, closed at [\d.]+ ms$/);
    expect(await panel()).toMatch(/Why: DEADLOCK[\s\S]*sleeps because no thread is free[\s\S]*no system sessions/);
    expect(await page.locator('#axis-time').getAttribute('aria-pressed')).toBe('true');
    // The cursor stands where it closed, with the circle drawn: not one of those who came later.
    expect(await panel()).toMatch(/event \d+ of \d+\s+call \d+: its RPC waits for call \d+/);
    expect(await coloursOf(page)).toContain('deadlock');
  });

  it('goes from one of two runs to the other by key and by button, also below the screen', async () => {
    const traces = await Promise.all(
      (['linux-6.8', 'hand-off'] as const).map((queue) => scenarioTrace('exhaustion-64-clients', queue)),
    );
    const errors = await open(...traces);
    const firstRun = () => page.locator('#panel h2').first().innerText();
    const titles = () => page.locator('#panel h2').allInnerTexts();
    expect(await firstRun()).toBe('linux-6.8');
    await page.getByRole('button', { name: /^hand-off FINISHED/ }).click();
    await expect.poll(firstRun).toBe('hand-off');
    // The pointer is over a lane of the run that is shown.
    await page.mouse.move(600, 400);
    await expect.poll(titles).toEqual(['hand-off', 'linux-6.8']);
    expect(await page.locator('#status').innerText()).toContain('hand-off');
    await page.keyboard.press('r');
    await expect.poll(firstRun).toBe('linux-6.8');
    expect(await page.locator('#status').innerText()).toContain('linux-6.8');
    expect(errors).toEqual([]);
  });

  it('names commands and applications, lists the longest waits, and jumps to each', async () => {
    await open(await scenarioTrace('thread-starvation', 'linux-6.8'));
    expect(await page.locator('#verdicts').innerText()).toBe('STARVED');
    expect(await page.locator('#legend').innerText()).toContain('late');
    const waits = page.locator('.waits li');
    expect(await waits.first().innerText()).toMatch(/^3\.05 s watchdog #\d+\s*feed, late$/);
    await waits.nth(1).getByRole('button').click();
    await expect.poll(panel).toMatch(/Call #\d+ of watchdog\s+feed of /);
  });

  it('steps by keys on a new page, wherever the pointer is', async () => {
    await open(await contended('hand-off'));
    await page.mouse.move(600, 400);
    const places: string[] = [];
    for (const key of ['[', '[', '[', ']']) {
      await page.keyboard.press(key);
      await page.waitForTimeout(60);
      places.push(/event (\d+) of/.exec(await panel())?.[1] ?? '');
    }
    const [first = '', ...others] = places;
    expect(others.map((place) => Number(place) - Number(first))).toEqual([-1, -2, -1]);
  });

  it('goes from match to match by Enter', async () => {
    await open(await contended('linux-6.8'));
    await page.keyboard.press('/');
    await page.keyboard.type('invoke');
    const chosen = new Set<string>();
    for (let press = 0; press < 3; press++) {
      await page.keyboard.press('Enter');
      await page.waitForTimeout(60);
      chosen.add(/Call #\d+/.exec(await panel())?.[0] ?? '');
    }
    expect(chosen.size).toBe(3);
  });

  it('keeps the focus when it switches to the table and back', async () => {
    await open(await contended('hand-off'));
    await page.keyboard.press('t');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('table');
    await page.keyboard.press('t');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('stage');
  });

  it('measures between cursor and mark', async () => {
    await open(await contended('hand-off'));
    const box = await page.locator('#canvas').boundingBox();
    if (box === null) throw new Error('no canvas');
    await page.mouse.click(box.x + 400, box.y + 300);
    await page.keyboard.down('Shift');
    await page.mouse.click(box.x + 600, box.y + 300);
    await page.keyboard.up('Shift');
    await expect
      .poll(panel)
      .toMatch(/Between cursor and mark[\s\S]*Calls begun, ended\s+\d+, \d+[\s\S]*Threads in use\s+\d+ %/);
    await page.keyboard.press('Escape');
    await expect.poll(panel).not.toContain('Between cursor and mark');
  });

  it('has a URL for the current view', async () => {
    await open(await contended('hand-off'));
    await page.keyboard.press('+');
    await page.keyboard.press('+');
    await page.keyboard.press('[');
    await page.getByRole('button', { name: 'Link' }).click();
    const address = page.url();
    const [before, picture] = [await panel(), await page.locator('#canvas').screenshot()];
    await page.goto('about:blank');
    await page.goto(address);
    await page.waitForSelector('html[data-ready]', { state: 'attached' });
    await page.waitForTimeout(100);
    expect(await panel()).toBe(before);
    expect(picture.equals(await page.locator('#canvas').screenshot())).toBe(true);
  });

  it('shows the variables of the queue at each step of a schedule', async () => {
    const recorder = new MemoryRecorder();
    const file = join(import.meta.dirname, '../conform/traces/upstream-corner_004.json');
    recordSchedule(parseTraceFile(readFileSync(file, 'utf8')), recorder);
    await open(recorder.toBytes());
    expect(await panel()).toMatch(/step 12[\s\S]*VARIABLES OF THE QUEUE\s+waiters\s+0 1 2 3\s+free_thread_count\s+0/);
    for (let step = 0; step < 20; step++) await page.keyboard.press('[');
    await expect.poll(panel).toMatch(/waiters\s+0\s+free_thread_count/);
    expect(await panel()).not.toMatch(/\d ms/);
  });

  it.each([
    [390, 844],
    [1280, 800],
    [1920, 1080],
  ])('is usable at %d x %d, without serious findings of axe', async (width, height) => {
    await open(
      await scenarioTrace('rpmb-scmi-deadlock', 'linux-6.7'),
      await scenarioTrace('rpmb-scmi-deadlock', 'hand-off'),
    );
    await page.setViewportSize({ width, height });
    await page.waitForTimeout(100);
    const canvas = await page.locator('#canvas').boundingBox();
    expect(canvas?.width).toBeGreaterThan(width > 640 ? 600 : 380);
    expect(canvas?.height).toBeGreaterThan(150);
    for (const id of ['#axis-order', '#help-toggle', '#table-toggle', '#search']) {
      const box = await page.locator(id).boundingBox();
      expect((box?.x ?? -1) >= 0 && (box?.x ?? 0) + (box?.width ?? 0) <= width, id).toBe(true);
    }
    expect(await page.locator('h1').isVisible()).toBe(true);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.addScriptTag({ content: axe.source });
      const found = await page.evaluate(async () => {
        const { violations } = await (window as unknown as { axe: typeof axe }).axe.run();
        return violations
          .filter(({ impact }) => impact === 'serious' || impact === 'critical')
          .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(', ')}`);
      });
      expect(found).toEqual([]);
    }
  });

  it('shows calls that are narrower than a pixel in their colours, and dims those that do not match', async () => {
    const errors = await open(million());
    await page.keyboard.press('0');
    expect(await coloursOf(page)).toEqual(expect.arrayContaining(['secure', 'rpc']));
    await page.fill('#search', 'client 3');
    await expect.poll(() => page.locator('#match-count').innerText()).toMatch(/15625 matches/);
    expect(await coloursOf(page)).toEqual(expect.arrayContaining(['secure', 'rpc']));
    await page.fill('#search', 'nobody of this name');
    await expect.poll(() => page.locator('#match-count').innerText()).toBe('0 matches');
    expect(await coloursOf(page)).not.toContain('secure');
    expect(errors).toEqual([]);
  });

  it('moves a million events smoothly', async () => {
    const errors = await open(million());
    const frames = await page.evaluate(async () => {
      const stage = document.querySelector<HTMLElement>('#canvas');
      const times: number[] = [];
      for (let step = 0; step < 60; step++) {
        stage?.dispatchEvent(
          new WheelEvent('wheel', {
            deltaY: step < 40 ? -180 : 400,
            clientX: 600,
            clientY: 300,
            bubbles: true,
            cancelable: true,
          }),
        );
        const start = performance.now();
        await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame);
        times.push((performance.now() - start) / 2);
      }
      return times.sort((a, b) => a - b);
    });
    // Software rendering on a busy machine: a frame on a desk takes a fraction of this.
    expect(frames[Math.floor(frames.length / 2)]).toBeLessThan(100);
    expect(errors).toEqual([]);
  });

  it('asks for a file if it contains no trace, and opens it', async () => {
    await open();
    const chosen = join(folder, 'chosen.nwt');
    writeFileSync(chosen, 'no trace at all, but long enough to be one');
    await page.setInputFiles('#files', chosen);
    await expect.poll(() => page.locator('#drop-error').innerText()).toContain('not a trace');
    writeFileSync(chosen, await contended('hand-off'));
    await page.setInputFiles('#files', []);
    await page.setInputFiles('#files', chosen);
    await expect.poll(panel).toContain('hand-off');
  });
});

/** Which states are to be seen, by their colour. */
function coloursOf(page: Page): Promise<string[]> {
  return page.evaluate(async () => {
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    const canvas = document.querySelector<HTMLCanvasElement>('#canvas');
    const context = canvas?.getContext('2d');
    if (canvas === null || context === null || context === undefined) return [];
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const style = getComputedStyle(document.documentElement);
    return ['secure', 'rpc', 'queue', 'deadlock', 'notification', 'bad'].filter((name) => {
      const hex = style.getPropertyValue(`--${name}`).trim();
      const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
      for (let at = 0; at < data.length; at += 4)
        if (data[at] === red && data[at + 1] === green && data[at + 2] === blue) return true;
      return false;
    });
  });
}
