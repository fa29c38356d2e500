import { createHash, createHmac, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { hmacSha256, sha256 } from '../../playground/src/browser/sha256.js';
import { serveSite } from '../support/static-site.js';

const executablePath = '/usr/bin/chromium';
const root = resolve(import.meta.dirname, '../..');
const site = join(root, 'dist/playground');
const missing = [executablePath, join(root, 'dist/viewer/index.html')].filter((path) => !existsSync(path));
if (missing.length > 0) console.log(`the playground is not tested: ${missing.join(', ')} is not there`);

describe('SHA-256 in the playground', () => {
  it.each([0, 1, 55, 56, 63, 64, 65, 1000])('of %d octets agrees with Node', (size) => {
    const octets = randomBytes(size);
    expect(Buffer.from(sha256(octets)).toString('hex')).toBe(createHash('sha256').update(octets).digest('hex'));
    for (const key of [randomBytes(32), randomBytes(100)])
      expect(Buffer.from(hmacSha256(key, octets)).toString('hex')).toBe(
        createHmac('sha256', key).update(octets).digest('hex'),
      );
  });
});

describe.skipIf(missing.length > 0)('the playground', () => {
  let browser: Browser;
  let page: Page;
  let server: Awaited<ReturnType<typeof serveSite>>;
  let errors: string[];

  beforeAll(async () => {
    await build({ configFile: join(root, 'playground/vite.config.ts') });
    server = await serveSite(site);
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  }, 120_000);
  afterEach(() => page?.close());
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  async function open(hash = '', width = 1280, height = 900): Promise<void> {
    page = await browser.newPage({ viewport: { width, height } });
    errors = [];
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    await page.goto(server.address + hash);
    await page.waitForSelector('html[data-ready]', { state: 'attached' });
  }
  const text = (id: string) => page.locator(id).innerText();
  const type = async (scenario: string) => {
    await page.locator('.cm-content').click();
    await page.keyboard.press('Control+a');
    await page.keyboard.insertText(scenario);
  };

  it('runs the scenario in its editor under several queues, and shows the timeline', async () => {
    await open();
    await page.getByRole('button', { name: 'Run' }).click();
    await expect.poll(() => text('#results'), { timeout: 60_000 }).toMatch(/linux-6\.7 DEADLOCK closed at 20\.9 ms/);
    expect(await text('#results')).toContain('hand-off FINISHED');
    const timeline = page.frameLocator('#timeline');
    await timeline.locator('html[data-ready]').waitFor({ state: 'attached', timeout: 30_000 });
    expect(await timeline.locator('#verdicts').innerText()).toMatch(/DEADLOCK[\s\S]*FINISHED/);
    expect(errors).toEqual([]);
  }, 120_000);

  it('shows errors at their place, completes words, and uses the sliders', async () => {
    await open();
    await type('title: t\napplications: { ta: { kind: user, commands: { go: [{ compute: 1 }] } } }\n');
    await page.locator('.cm-lintRange-error').first().waitFor();
    expect(await page.locator('.cm-lintRange-error').count()).toBeGreaterThan(0);
    await type(
      'title: t\napplications: { ta: { kind: user, commands: { go: [{ compute: 1ms }] } } }\nclients: { a: { application: ta, steps: [{ invoke: go }] } }\n',
    );
    await page.locator('.cm-lintRange-error').first().waitFor({ state: 'detached' });
    await page.keyboard.type('secu');
    // By the mouse: an Enter right after the list has opened makes a new line, so that nobody takes a word by accident.
    await page.locator('.cm-tooltip-autocomplete li', { hasText: 'secureWorld' }).first().click();
    await expect.poll(() => text('.cm-content')).toContain('secureWorld');
    for (let letter = 0; letter < 'secureWorld'.length; letter++) await page.keyboard.press('Backspace');
    await page.locator('#threads').fill('5');
    await page.locator('#clients').fill('9');
    await page.getByRole('button', { name: 'Run' }).click();
    const timeline = page.frameLocator('#timeline');
    await timeline.locator('html[data-ready]').waitFor({ state: 'attached', timeout: 60_000 });
    expect(await timeline.locator('#panel').innerText()).toMatch(/4 free/);
  }, 120_000);

  it('indents the sentences of a counterexample as those of a run', async () => {
    await open();
    await page.getByRole('button', { name: 'Explore' }).click();
    await page.locator('#step-words').waitFor({ timeout: 90_000 });
    expect(await page.locator('#stepper .what li.further').first().innerText()).toMatch(/^thread 0: call \d+ /);
  });

  it('leads from the editor to a counterexample, stepped forwards and backwards, and a link to it', async () => {
    await open();
    await type(readFileSync(join(root, 'scenarios/explore/one-thread-short.yaml'), 'utf8'));
    for (const box of await page.locator('#queues input').all())
      await box.setChecked((await box.inputValue()) === 'linux-6.8');
    await page.getByRole('button', { name: 'Explore' }).click();
    await page.locator('#step-words').waitFor({ timeout: 90_000 });
    expect(await text('#stepper h2')).toBe('Counterexample: a client did not finish');
    const words = await text('#step-words');
    const [, last = ''] = /Step (\d+) of \1,/.exec(words) ?? [];
    expect(Number(last)).toBeGreaterThan(10);
    expect(await text('.picture')).toMatch(
      /Asleep in the queue[\s\S]*hello[\s\S]*List waiters\s+[a-z]+( \d+)? #\d+[\s\S]*free_thread_count/,
    );
    await page.getByRole('button', { name: 'Back' }).click();
    await page.keyboard.press('ArrowLeft');
    expect(await text('#step-words')).toContain(`Step ${Number(last) - 2} of ${last}`);
    await page.getByRole('button', { name: 'Next' }).click();
    const there = await text('#step-words');
    expect(there).toContain(`Step ${Number(last) - 1} of ${last}`);
    await page.getByRole('button', { name: 'First' }).click();
    const seen = new Set<string>();
    for (let step = 1; step < Number(last); step++) {
      seen.add((await text('#step-words')).replace(/^.*?: /, ''));
      await page.getByRole('button', { name: 'Next' }).click();
    }
    expect([...seen].join('\n')).toMatch(/is refused: ETHREAD_LIMIT[\s\S]*goes to sleep after ETHREAD_LIMIT/);
    await page.getByRole('button', { name: 'Back' }).click();
    await page.getByRole('button', { name: 'Link' }).click();
    await expect.poll(() => new URL(page.url()).hash.length).toBeGreaterThan(100);
    const { hash } = new URL(page.url());
    await page.close();
    await open(hash);
    await page.locator('#step-words').waitFor({ timeout: 90_000 });
    expect(await text('#step-words')).toBe(there);
    expect(errors).toEqual([]);
  }, 240_000);

  it.each([
    [390, 844],
    [1280, 800],
  ])('fits %d x %d, without serious findings of axe', async (width, height) => {
    await open('', width, height);
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
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth)).toBe(true);
  });

  it.each(['#garbage', '#', `#${'A'.repeat(5000)}`])('opens with a damaged link %s', async (hash) => {
    await open(hash);
    expect(await text('.cm-content')).toContain('title:');
    expect(errors).toEqual([]);
  });
});
