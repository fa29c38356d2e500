import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const executablePath = '/usr/bin/chromium';
const hasChromium = existsSync(executablePath);
if (!hasChromium) console.log(`the page of a profile is not tested: ${executablePath} is not there`);

const stacks = `thread_std_smc_entry;ta_entry;copy 5000
thread_std_smc_entry;ta_entry;hash 12000
thread_std_smc_entry;ta_entry;hash;rotate;hash 1000
thread_std_smc_entry;load 2000
`;

const folder = mkdtempSync(join(tmpdir(), 'normalworld-profile-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** @returns the page's file, and what the command said. */
function view(text: string, ...more: string[]) {
  const path = join(folder, 'profile.folded');
  writeFileSync(path, text);
  const out = join(folder, 'profile.html');
  rmSync(out, { force: true });
  const said = spawnSync(process.execPath, [main, 'view', path, ...more, '--out', out], { encoding: 'utf8' });
  return { out, ...said };
}

describe('view of a profile', () => {
  it.each([
    ['without stacks', 'not a profile\n', /profile\.folded: no call stacks, which are lines like `main;copy 12`/],
    ['that is empty', '', /no call stacks/],
  ])('refuses a file %s', (_what, text, says) => {
    const { status, stderr, out } = view(text);
    expect([status, existsSync(out)]).toEqual([2, false]);
    expect(stderr).toMatch(says);
  });

  it('shows one at a time', () => {
    expect(view(stacks, join(folder, 'profile.folded'))).toMatchObject({
      status: 2,
      stderr: 'error: a profile is shown alone\n',
    });
  });

  it('writes one file, in which names from the profile are text', () => {
    const { out, status } = view(`${stacks}</script><script>alert(1)</script> 7\n`);
    expect(status).toBe(0);
    expect(readFileSync(out, 'utf8')).not.toContain('alert(1)');
  });
});

describe.skipIf(!hasChromium)('the page of a profile', () => {
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  });
  afterEach(() => page?.close());
  afterAll(() => browser?.close());

  async function open(viewport = { width: 1280, height: 800 }, colorScheme: 'light' | 'dark' = 'light') {
    const { out } = view(`${stacks}</script>;<b>x</b> 0\n`);
    page = await browser.newPage({ viewport, colorScheme });
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(pathToFileURL(out).href);
    return errors;
  }
  const status = () => page.locator('#status').innerText();
  const frame = (name: string) => page.locator('#frames').getByRole('button', { name, exact: true });
  const widthOf = async (name: string) => (await frame(name).first().boundingBox())?.width ?? 0;

  it('draws each function as wide as its instructions, below its caller', async () => {
    const errors = await open();
    expect(await status()).toBe('all: 20,000 instructions, 100.0 %; 0 of them itself');
    expect((await widthOf('copy')) / (await widthOf('all'))).toBeCloseTo(0.25, 2);
    const [caller, callee] = [await frame('ta_entry').boundingBox(), await frame('copy').boundingBox()];
    expect(caller?.y).toBeLessThan(callee?.y ?? 0);
    await frame('copy').hover();
    expect(await status()).toBe('copy: 5,000 instructions, 25.0 %; 5,000 of them itself');
    expect(errors).toEqual([]);
  });

  it('zooms to a function by keyboard, and back', async () => {
    await open();
    await frame('ta_entry').focus();
    await page.keyboard.press('Enter');
    expect((await widthOf('copy')) / (await widthOf('all'))).toBeCloseTo(5 / 18, 2);
    expect(await frame('load').count()).toBe(0);
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('ta_entry');
    await page.keyboard.press('Escape');
    expect(await frame('load').count()).toBe(1);
  });

  it('marks the functions that are searched, and counts a recursive one once', async () => {
    await open();
    await page.locator('#search').fill('HASH');
    expect(await page.locator('#match').innerText()).toBe('65.0 %');
    expect(await page.locator('#frames .found').count()).toBe(2);
    expect(await page.locator('#functions tr').first().innerText()).toMatch(/^hash\s+65\.0 %\s+65\.0 %$/);
  });

  it.each([
    [{ width: 1280, height: 800 }, 'light'],
    [{ width: 1920, height: 1080 }, 'dark'],
    [{ width: 390, height: 844 }, 'light'],
    [{ width: 390, height: 844 }, 'dark'],
  ] as const)('is usable at %o, %s, without serious findings of axe', async (viewport, colorScheme) => {
    await open(viewport, colorScheme);
    await page.locator('#search').fill('hash');
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run());
    expect(
      violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id }) => id),
    ).toEqual([]);
    if (process.env.SHOTS)
      await page.screenshot({ path: `${process.env.SHOTS}/flame-${viewport.width}-${colorScheme}.png` });
  });
});
