import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { serveSite } from '../support/static-site.js';

const executablePath = '/usr/bin/chromium';
const root = resolve(import.meta.dirname, '../..');
if (!existsSync(executablePath)) console.log(`the site is not tested: ${executablePath} is not there`);

/** The site of a few pages, as `npm run docs` makes that of all. */
describe.skipIf(!existsSync(executablePath))('the site', { timeout: 60_000 }, () => {
  const site = mkdtempSync(join(tmpdir(), 'normalworld-site-'));
  let browser: Browser;
  let page: Page;
  let server: Awaited<ReturnType<typeof serveSite>>;

  beforeAll(async () => {
    const run = (program: string, ...args: string[]) => {
      const { status, stderr } = spawnSync(join(root, 'node_modules/.bin', program), args, {
        cwd: root,
        encoding: 'utf8',
      });
      if (status !== 0) throw new Error(`${program}: ${stderr}`);
    };
    const documents = ['start', 'scenarios', 'concepts'].flatMap((name) => ['--projectDocuments', `docs/${name}.md`]);
    const quick = ['--skipErrorChecking', '--validation.invalidLink', 'false', '--logLevel', 'Error'];
    run(
      'typedoc',
      '--options',
      'typedoc.json',
      '--entryPoints',
      'src/files/lock-path.ts',
      ...documents,
      ...quick,
      '--out',
      site,
    );
    run('pagefind', '--site', site, '--silent');
    server = await serveSite(site);
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  }, 240_000);
  afterEach(() => page?.close());
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    rmSync(site, { recursive: true, force: true });
  });

  async function open(path: string, width = 1280, colorScheme: 'light' | 'dark' = 'light'): Promise<void> {
    page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
    await page.goto(server.address + path);
  }

  async function serious(): Promise<string[]> {
    await page.addScriptTag({ content: axe.source });
    return page.evaluate(async () => {
      const { violations } = await (globalThis as unknown as { axe: typeof axe }).axe.run();
      return violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
    });
  }

  it('finds text by keyboard only, and opens the place', async () => {
    await open('index.html');
    await page.keyboard.press('/');
    await page.locator('#text-search input:focus').waitFor();
    await page.keyboard.type('ETHREAD_LIMIT');
    const result = page.locator('#text-search .pagefind-ui__result-link').first();
    await result.waitFor();
    await result.focus();
    await page.keyboard.press('Enter');
    await page.waitForURL(/documents\//);
    expect(await page.locator('main, .container-main').first().innerText()).toContain('ETHREAD_LIMIT');
  });

  it('has its title once, and one main heading per page', async () => {
    await open('index.html');
    expect(await page.locator('h1').allInnerTexts()).toEqual(['normalworld']);
    await open('documents/Scenarios.html');
    expect(await page.locator('h1').count()).toBe(1);
    expect(await page.locator('nav.reading a').count()).toBeGreaterThan(0);
  });

  it.each(['light', 'dark'] as const)('is readable in %s mode, including its search', async (scheme) => {
    await open('documents/Scenarios.html', 1280, scheme);
    const field = page.locator('#text-search input');
    const colours = await field.evaluate((input) => [
      getComputedStyle(input).backgroundColor,
      getComputedStyle(document.body).backgroundColor,
    ]);
    expect(colours[0]).toBe(colours[1]);
    await field.fill('deadlock');
    await page.locator('#text-search .pagefind-ui__result-link').first().waitFor();
    expect(await serious()).toEqual([]);
  });

  it('fits a phone', async () => {
    for (const path of ['index.html', 'documents/Scenarios.html']) {
      await open(path, 390);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
      await page.close();
    }
  });
});
