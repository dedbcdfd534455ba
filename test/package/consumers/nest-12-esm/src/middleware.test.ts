import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { Body, Controller, Get, Module, Post, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { applyRateLimits, RateLimitModule } from 'nestjs-limits';

@Controller()
class NotesController {
  @Get()
  home(): string {
    return '';
  }

  @Post('notes')
  add(@Body() note: object): object {
    return note;
  }
}

@Module({
  imports: [RateLimitModule.forRoot({ rules: [{ id: 'all', path: '/**', limits: '2/minute' }] })],
  controllers: [NotesController],
})
class NotesModule {}

describe('applyRateLimits', () => {
  let app: INestApplication;
  afterEach(() => app.close());

  async function start(): Promise<string> {
    app = await NestFactory.create(NotesModule, { logger: false, forceCloseConnections: true });
    applyRateLimits(app);
    app.setGlobalPrefix('api');
    await app.listen(0, '127.0.0.1');
    return app.getUrl();
  }

  async function statuses(times: number, url: string, body?: string): Promise<number[]> {
    const request =
      body === undefined ? {} : { method: 'POST', body, headers: { 'content-type': 'application/json' } };
    const seen: number[] = [];
    for (let time = 0; time < times; time++) seen.push((await fetch(url, request)).status);
    return seen;
  }

  for (const [path, status] of [
    ['/api', 200],
    ['/', 404],
    ['/nothing', 404],
  ] as const)
    it(`counts GET ${path}, with the global prefix "api"`, async () => {
      assert.deepEqual(await statuses(3, (await start()) + path), [status, status, 429]);
    });

  for (const [status, body] of [
    [400, '{'],
    [413, JSON.stringify({ text: 'a'.repeat(2_000_000) })],
  ] as const)
    it(`counts requests whose body the parser refuses with ${status}`, async () => {
      assert.deepEqual(await statuses(3, `${await start()}/api/notes`, body), [status, status, 429]);
    });
});
