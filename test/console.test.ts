import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { echoService, root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);
if (!executablePath) console.log('The console is not tested: no chromium or google-chrome is in /usr/bin.');
const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'];
const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** For a picture, real services are installed first. */
const picturesTakeMs = process.env.SUTAZ_SCREENSHOTS ? 600_000 : 120_000;

describe.skipIf(!executablePath)('the console in a real browser', () => {
  let platform: TestPlatform;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  const errors: string[] = [];
  const elsewhere: string[] = [];

  beforeAll(async () => {
    platform = await startPlatform({
      config: 'models: { context: 2048, slots: 2 }',
      memory: '1200MiB',
      catalog: {
        'services/echo.yaml': echoService('echo', {
          dir: `${root}test`,
          extra: "consumes: { openai: { X_URL: '{openai.url}' } }",
        }),
      },
    });
    browser = await chromium.launch({ executablePath: executablePath ?? '', args: [...args, ...quiet] });
    context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    page = await context.newPage();
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('request', (request) => {
      if (new URL(request.url()).origin !== platform.url) elsewhere.push(request.url());
    });
  });
  afterAll(async () => {
    await browser?.close();
    await platform?.stop();
  });

  const link = async () =>
    ((await (await platform.fetch('/sutaz/v1/console-links', { method: 'POST' })).json()) as { url: string }).url;

  it('opens by its link once, and shows the memory and every unit', async () => {
    const url = await link();
    await page.goto(url);
    await page.getByTestId('memory-map').waitFor();
    for (const id of ['service/echo', 'service/chroma', 'model/smollm2:135m']) {
      expect(await page.getByTestId(`unit-row-${id}`).count()).toBe(1);
    }
    const again = await (await browser.newContext()).newPage();
    await again.goto(url);
    expect(await again.textContent('h1')).toBe('This link was used already');
    await again.context().close();
  });

  it('starts and stops a service, and sees it happen', async () => {
    const row = page.getByTestId('unit-row-service/echo');
    await page.getByTestId('start-service/echo').click();
    await page.waitForSelector('[data-testid="unit-row-service/echo"][data-state="ready"]');
    expect(await row.getAttribute('data-state')).toBe('ready');
    expect(await page.getByTestId('events').textContent()).toContain('is ready');
    await page.getByTestId('wiring-toggle').click();
    await expect
      .poll(() => page.getByTestId('wiring').textContent())
      .toMatch(/echo sutaz-i-\w{4}….*openaithe platform/);
    await page.getByTestId('stop-service/echo').click();
    await page.waitForSelector('[data-testid="unit-row-service/echo"][data-state="cold"]');
  });

  it(
    'chats with a model that wakes for it',
    async () => {
      await page.getByTestId('chat-input').fill('Write one sentence about the sea.');
      await page.getByTestId('chat-send').click();
      const answer = page.getByTestId('chat-answer');
      await expect
        .poll(async () => (await answer.textContent())?.trim().length ?? 0, { timeout: 90_000 })
        .toBeGreaterThan(20);
      await page.waitForSelector('[data-testid="unit-row-model/smollm2:135m"][data-state="ready"]');
      const folder = process.env.SUTAZ_SCREENSHOTS;
      if (!folder) return;
      for (const id of ['service/chroma', 'service/node-red']) {
        await page.getByTestId(`start-${id}`).click();
        await page.waitForSelector(`[data-testid="unit-row-${id}"][data-state="ready"]`, { timeout: 280_000 });
      }
      await page.getByRole('radio', { name: 'awake' }).check({ force: true });
      await page.waitForTimeout(4_000);
      await page.evaluate('window.scrollTo(0, 0)');
      await page.screenshot({ path: join(folder, 'console.png') });
    },
    picturesTakeMs,
  );

  it("a service's page opens on its own host, with a session that is no use at the control API", async () => {
    const service = await context.newPage();
    await service.goto(`${platform.url}/services/echo/page`);
    await expect.poll(() => service.textContent('h1'), { timeout: 20_000 }).toBe('the real page');
    expect(service.url()).toBe(`http://echo.localhost:${platform.port}/page`);
    const status = await service.evaluate(async (url) => {
      try {
        return (await fetch(`${url}/sutaz/v1/state`, { credentials: 'include' })).status;
      } catch {
        return 'refused';
      }
    }, platform.url);
    expect(['refused', 401, 403]).toContain(status);
    await service.close();
  });

  it('asks nobody else for anything, and has no errors', () => {
    expect(elsewhere).toEqual([]);
    expect(errors).toEqual([]);
  });
});
