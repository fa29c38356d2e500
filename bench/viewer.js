/**
 * `node bench/viewer.js [--json] [--profile FILE]`: how smoothly the page of `view` moves a trace of a million events,
 * in headless Chromium (/usr/bin/chromium), at 1280x800 and 1920x1080.
 *
 * Each frame gets one input: a step of the wheel, of the pointer or of a key. Three times are taken, in ms: `cpu`, the
 * processor time of the page's main thread, which other programs do not change; `script`, the time of the page's own code
 * in a frame; and `frame`, from one animation frame to the next: 16.7 at 60 frames a second. Chromium draws without a GPU
 * here, on the same cores, so `frame` is an upper limit, and on a busy machine says little.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { viewerPage } from '../dist/trace/node/index.js';
import { millionEvents } from './million-events.js';

const { values } = parseArgs({ options: { json: { type: 'boolean' }, profile: { type: 'string' } } });
const sizes = [
  { width: 1280, height: 800 },
  { width: 1920, height: 1080 },
];
/** Frames of each movement. */
const frames = 120;

const folder = mkdtempSync(join(tmpdir(), 'normalworld-bench-'));
const { bytes, events } = millionEvents();
const file = join(folder, 'page.html');
writeFileSync(file, viewerPage([{ name: 'million.nwt', bytes }]));
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
const results = [];
for (const viewport of sizes) {
  const page = await browser.newPage({ viewport });
  const begin = performance.now();
  await page.goto(pathToFileURL(file).href);
  await page.waitForSelector('html[data-ready]', { timeout: 120_000 });
  const openMs = Math.round(performance.now() - begin);
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  const cpu = async () =>
    (await session.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'TaskDuration').value * 1000;
  const profiler = values.profile === undefined ? undefined : session;
  await profiler?.send('Profiler.enable');
  await profiler?.send('Profiler.start');
  await page.evaluate(prepareMovements);
  for (const movement of await page.evaluate(() => Object.keys(window.movements))) {
    const before = await cpu();
    const times = await page.evaluate(measureMovement, { movement, frames });
    const cpuMean = Math.round((((await cpu()) - before) / frames) * 10) / 10;
    results.push({ size: `${viewport.width}x${viewport.height}`, movement, cpuMean, ...summary(times), openMs });
  }
  if (profiler !== undefined)
    writeFileSync(
      `${values.profile}.${viewport.width}`,
      JSON.stringify((await profiler.send('Profiler.stop')).profile),
    );
  await page.close();
}
await browser.close();
rmSync(folder, { recursive: true });
if (values.json) console.log(JSON.stringify({ events, results }, null, 2));
else {
  console.log(`${events} events; times in ms, of ${frames} frames each`);
  console.table(results);
}

function summary({ script, frame }) {
  const at = (times, part) => times.toSorted((a, b) => a - b)[Math.ceil(times.length * part) - 1];
  const round = (ms) => Math.round(ms * 10) / 10;
  return {
    scriptMedian: round(at(script, 0.5)),
    scriptP99: round(at(script, 0.99)),
    frameMedian: round(at(frame, 0.5)),
    frameP99: round(at(frame, 0.99)),
    slowFrames: frame.filter((ms) => ms > 17.5).length,
  };
}

/** Runs in the page: defines the movements, each a function of the number of the frame. */
function prepareMovements() {
  const canvas = document.querySelector('#canvas');
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const at = (x, y) => ({ clientX: left + x * width, clientY: top + y * height, bubbles: true, cancelable: true });
  const wheel = (delta) => canvas.dispatchEvent(new WheelEvent('wheel', { ...at(0.6, 0.4), ...delta }));
  const point = (x, y) => canvas.dispatchEvent(new PointerEvent('pointermove', { ...at(x, y), pointerId: 1 }));
  const key = (name) => document.dispatchEvent(new KeyboardEvent('keydown', { key: name, bubbles: true }));
  window.movements = {
    'zoom in': () => wheel({ deltaY: -120 }),
    hover: (part) => point(0.2 + 0.7 * part, 0.3 + 0.4 * part),
    pan: (part) => wheel({ deltaX: 60 + 30 * part }),
    'zoom out': () => wheel({ deltaY: 120 }),
    'hover over all': (part) => point(0.2 + 0.7 * part, 0.5),
    'zoom to the middle': (part) => wheel({ deltaY: part < 0.4 ? -120 : -10 }),
    'pan in the middle': (part) => wheel({ deltaX: 200 + 100 * part }),
    'step by events': () => key(']'),
    'order: zoom out': (part) => (part === 0 ? key('o') : wheel({ deltaY: 60 })),
    'order: zoom in': () => wheel({ deltaY: -60 }),
  };
  const ask = window.requestAnimationFrame.bind(window);
  window.nextFrame = () => new Promise(ask);
  window.spent = 0;
  window.requestAnimationFrame = (callback) =>
    ask((time) => {
      const begin = performance.now();
      callback(time);
      window.spent += performance.now() - begin;
    });
}

/** Runs in the page. */
async function measureMovement({ movement, frames }) {
  const script = [];
  const frame = [];
  let last = await window.nextFrame();
  for (let step = 0; step < frames; step++) {
    window.spent = 0;
    const begin = performance.now();
    window.movements[movement](step / frames);
    window.spent += performance.now() - begin;
    // The page's callback, registered by the input, runs before this one.
    const time = await window.nextFrame();
    script.push(window.spent);
    frame.push(time - last);
    last = time;
  }
  return { script, frame };
}
