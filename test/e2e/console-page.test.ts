import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { Controller, Get, Injectable, type CanActivate, type ModuleMetadata } from '@nestjs/common';
import { RateLimit, RateLimitModule } from 'nestjs-limits';
import { RateLimitConsoleModule } from 'nestjs-limits/console';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { startHttpApp, type HttpApp, type Platform } from '../support/http-app.js';
import { describeInChromium } from '../support/servers.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Longer than the page needs on a busy machine. */
const PATIENCE = 60_000;
const SCRIPT = '<img src=x onerror=alert(1)><script>alert(2)</script>';

let areAdmitted = true;

@Injectable()
class AdminGuard implements CanActivate {
  canActivate(): boolean {
    return areAdmitted;
  }
}

@Controller()
class ShopController {
  @Get('login')
  @RateLimit('5/hour', { name: 'login', block: '2 hours' })
  login() {
    return '';
  }
}

/** Names of policies and rules are plain, but not those of classes and plans. */
@Controller()
class ScriptController {
  @Get('named')
  @RateLimit('1/hour', { name: 'named', plans: { [SCRIPT]: '2/hour' }, key: 'header:x-name' })
  named() {
    return '';
  }
}
Object.defineProperty(ScriptController, 'name', { value: SCRIPT });

const withConsole: ModuleMetadata = {
  imports: [RateLimitModule.forRoot(), RateLimitConsoleModule.forRoot({ guards: [AdminGuard] })],
  controllers: [ShopController, ScriptController],
};

describeInChromium('The page of the console', (program) => {
  let browser: Browser;
  let app: HttpApp;
  /** What the page has loaded, and what the browser has complained of. */
  let loaded: string[];
  let complaints: string[];

  beforeAll(async () => {
    const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
    browser = await chromium.launch({ executablePath: program, args, timeout: PATIENCE });
  }, PATIENCE);

  afterEach(async () => {
    areAdmitted = true;
    await Promise.all(browser.contexts().map((context) => context.close()));
    await app.close();
  });

  afterAll(() => browser?.close());

  async function open(
    options: BrowserContextOptions = {},
    metadata = withConsole,
    platform: Platform = 'express',
  ): Promise<Page> {
    app = await startHttpApp(platform, metadata);
    const { port } = (app.nest.getHttpServer() as Server).address() as AddressInfo;
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    [loaded, complaints] = [[], []];
    page.on('request', (request) => loaded.push(new URL(request.url()).origin));
    page.on(
      'console',
      (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()),
    );
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('dialog', (dialog) => {
      complaints.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    await page.goto(`http://localhost:${port}/rate-limits`);
    await page.getByText('Live', { exact: true }).waitFor();
    return page;
  }

  /** Waits until the row of a policy has a text. */
  async function rowOf(page: Page, name: string, text: RegExp): Promise<string[]> {
    const row = page.locator('#policies tbody tr', { hasText: name }).filter({ hasText: text });
    await row.waitFor();
    return row.locator('td.figure').allTextContents();
  }

  async function select(page: Page, name: string): Promise<void> {
    await page.locator('#policies').getByRole('button', { name, exact: true }).click();
    await page.locator('#policy').waitFor();
  }

  it.each<Platform>(['express', 'fastify'])(
    'shows as many requests and refusals as were counted, live, over %s',
    async (platform) => {
      const page = await open({}, withConsole, platform);
      const statuses = await app.statuses(20, '/login');
      expect(statuses.filter((status) => status === 429).length).toBe(15);
      expect(await rowOf(page, 'login', /75\.0%/)).toEqual(['20', '15', '75.0%', '0']);
      await select(page, 'login');
      await page.locator('#identities tr', { hasText: 'ip:127.0.0.1' }).waitFor();
      expect(await page.locator('#identities tbody td').allTextContents()).toEqual([
        'ip:127.0.0.1',
        '15',
        '100.0%',
      ]);
      expect(await page.locator('#limits tbody td').allTextContents()).toEqual([
        'login: 5 per hour',
        'enforce',
        '15',
      ]);
      await app.statuses(5, '/login');
      expect(await rowOf(page, 'login', /80\.0%/)).toEqual(['25', '20', '80.0%', '0']);
      await page.locator('#identities tr', { hasText: '20' }).waitFor();
      expect(await page.locator('#process').textContent()).toContain(`process ${process.pid}`);
    },
    PATIENCE * 2,
  );

  it(
    'does every action by keyboard',
    async () => {
      const page = await open();
      await app.statuses(7, '/login');
      await rowOf(page, 'login', /28\.6%/);
      const tabTo = async (name: string): Promise<void> => {
        for (let presses = 0; presses < 40; presses++) {
          await page.keyboard.press('Tab');
          const focused = await page.evaluate(() => {
            const { document } = globalThis as unknown as {
              document: { activeElement: { textContent: string } | null };
            };
            return document.activeElement?.textContent.trim();
          });
          if (focused === name) return;
        }
        throw new Error(`The focus never gets to "${name}".`);
      };
      const outcome = page.locator('#outcome');

      await tabTo('login');
      await page.keyboard.press('Enter');
      await page.locator('#identities tr', { hasText: 'ip:127.0.0.1' }).waitFor();
      await tabTo('ip:127.0.0.1');
      await page.keyboard.press('Enter');
      await page.locator('#states', { hasText: 'blocked for 2 h' }).waitFor();

      await tabTo('Clear counts');
      await page.keyboard.press('Enter');
      await outcome.getByText('Counts and blocks are cleared.').waitFor();
      expect(await app.statuses(1, '/login')).toEqual([200]);

      await tabTo('Block');
      await page.keyboard.press('Enter');
      await outcome.getByText('Blocked.').waitFor();
      expect(await app.statuses(1, '/login')).toEqual([429]);

      await page.keyboard.press('Shift+Tab');
      await page.keyboard.press('Shift+Tab');
      await page.keyboard.press('Enter');
      await outcome.getByText('The block is lifted.').waitFor();
      expect(await app.statuses(1, '/login')).toEqual([200]);

      await page.locator('[name=identity]').focus();
      await page.keyboard.press('Control+A');
      await page.keyboard.type('203.0.113.7');
      await page.keyboard.press('Enter');
      await page.locator('#state-title', { hasText: 'ip:203.0.113.7' }).waitFor();
      expect(await page.locator('#states td').allTextContents()).toEqual([
        'login: 5 per hour',
        '5 of 5',
        'unused',
      ]);
    },
    PATIENCE * 2,
  );

  it.each(['light', 'dark'] as const)(
    'has no violation of accessibility that axe finds, in %s colours',
    async (colorScheme) => {
      const page = await open({ colorScheme });
      await app.statuses(7, '/login');
      await rowOf(page, 'login', /28\.6%/);
      await select(page, 'login');
      await page.getByRole('button', { name: 'ip:127.0.0.1' }).click();
      await page.locator('#state').waitFor();
      await page.evaluate(AXE);
      const violations = await page.evaluate(async () => {
        const { axe } = globalThis as unknown as {
          axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
        };
        return (await axe.run()).violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]);
      });
      expect(violations).toEqual([]);
      const background = await page.locator('body').evaluate((body) => {
        const { getComputedStyle } = globalThis as unknown as {
          getComputedStyle(element: unknown): { backgroundColor: string };
        };
        return getComputedStyle(body).backgroundColor;
      });
      expect(background).toBe(colorScheme === 'light' ? 'rgb(244, 246, 248)' : 'rgb(16, 21, 28)');
    },
    PATIENCE * 2,
  );

  it(
    'shows script in names and identities as text, loads nothing from elsewhere, and keeps to its policy',
    async () => {
      const page = await open();
      for (let request = 0; request < 3; request++) await app.get('/named', { 'x-name': SCRIPT });
      await rowOf(page, 'named', /66\.7%/);
      await select(page, 'named');
      const identity = page.locator('#identities td').first();
      await identity.waitFor();
      expect(await identity.textContent()).toContain('<img src=x onerror=alert(1)>');
      await identity.getByRole('button').click();
      await page.locator('#state').waitFor();
      expect(await page.locator('#facts').textContent()).toContain(`@RateLimit on ${SCRIPT}.named`);
      expect(await page.locator('[name=plan]').textContent()).toBe(`none${SCRIPT}`);
      expect(await page.locator('main img, main script').count()).toBe(0);
      expect([...new Set(loaded)]).toEqual([new URL(page.url()).origin]);
      expect(complaints).toEqual([]);
    },
    PATIENCE * 2,
  );

  it(
    'tells an operator whose rights have ended, and changes nothing',
    async () => {
      const page = await open();
      await app.statuses(6, '/login');
      await select(page, 'login');
      await page.locator('[name=identity]').fill('127.0.0.1');
      await page.getByRole('button', { name: 'Look up' }).click();
      await page.locator('#state').waitFor();
      areAdmitted = false;
      await page.getByRole('button', { name: 'Clear counts' }).click();
      await page.locator('#outcome', { hasText: 'Forbidden resource' }).waitFor();
      expect(await app.statuses(1, '/login')).toEqual([429]);
      const response = await page.reload();
      expect(response?.status()).toBe(403);
    },
    PATIENCE * 2,
  );

  it(
    'tells an operator that another page answers an action, such as a login',
    async () => {
      const page = await open();
      await app.statuses(1, '/login');
      await select(page, 'login');
      const body = '<form>Log in</form>';
      await page.route('**/identities', (route) => route.fulfill({ contentType: 'text/html', body }));
      await page.locator('[name=identity]').fill('127.0.0.1');
      await page.getByRole('button', { name: 'Look up' }).click();
      await page.locator('#outcome', { hasText: 'The answer (200) is not from the console.' }).waitFor();
      expect(complaints).toEqual([]);
    },
    PATIENCE * 2,
  );

  it(
    'shows 200 policies, filters and sorts them, and fits a phone',
    async () => {
      const rules = Array.from({ length: 200 }, (_, index) => ({
        id: `rule-${index}`,
        path: `/api/${index}/**`,
        limits: '10/minute',
      }));
      const page = await open(
        { viewport: { width: 390, height: 844 } },
        {
          imports: [RateLimitModule.forRoot({ rules }), RateLimitConsoleModule.forRoot({ open: true })],
          controllers: [],
        },
      );
      await page.locator('#policies tbody tr').nth(199).waitFor();
      expect(await page.locator('#policies tbody tr').count()).toBe(200);
      const width = await page
        .locator('html')
        .evaluate((html) => (html as unknown as { scrollWidth: number }).scrollWidth);
      expect(width).toBe(390);
      await page.getByRole('button', { name: 'Policy', exact: true }).click();
      expect(await page.locator('#policies tbody tr button').first().textContent()).toBe('rule-0');
      await page.getByRole('searchbox', { name: 'Filter' }).fill('rule-19');
      await page.locator('#policies tbody tr').nth(10).waitFor();
      expect(await page.locator('#policies tbody tr').count()).toBe(11);
    },
    PATIENCE * 2,
  );
});
