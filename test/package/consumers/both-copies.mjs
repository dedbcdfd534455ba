/** Entries load as an ES module and as CommonJS in one process, offer the same and get along. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

for (const entry of ['nestjs-limits', 'nestjs-limits/testing', 'nestjs-limits/terminus']) {
  const imported = await import(entry);
  const required = require(entry);
  assert.deepEqual(Object.keys(required).sort(), Object.keys(imported).sort(), entry);
}

const { MemoryStorage, parse } = await import('nestjs-limits');
const { FixedWindowRateLimiter, RATE_LIMIT_STORAGE } = require('nestjs-limits');
const limiter = new FixedWindowRateLimiter(new MemoryStorage());
assert.equal(limiter.hit(parse('1/minute'), 'user'), true);
assert.equal(limiter.hit(parse('1/minute'), 'user'), false);
assert.equal(RATE_LIMIT_STORAGE, (await import('nestjs-limits')).RATE_LIMIT_STORAGE);

// A required storage that is down, behind an imported module: this process counts alone, and says so.
const { NestFactory } = await import('@nestjs/core');
const { RateLimiterService, RateLimitModule } = await import('nestjs-limits');
const { CasStorage } = require('nestjs-limits');

class LostStorage extends CasStorage {
  read() {
    throw new Error('no power');
  }
  check() {
    return false;
  }
}

const application = await NestFactory.createApplicationContext(
  RateLimitModule.forRoot({ storage: new LostStorage() }),
  { logger: false, abortOnError: false },
);
const service = application.get(RateLimiterService);
for (const allowed of [true, false]) {
  const decision = await service.consume('1/minute', 'user');
  assert.deepEqual([decision.allowed, decision.degraded], [allowed, 'fallback']);
}
await application.close();
