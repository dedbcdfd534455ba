import { expect, it } from '@jest/globals';
import { FixedWindowRateLimiter, MemoryStorage, parse, storageFromString } from 'nestjs-limits';
import { describeQuickstart } from '../../support/quickstart.js';

describeQuickstart((options) => new MemoryStorage(options));

it('The quickstart of limits runs on a storage from a URI, awaited as in limits.aio', async () => {
  const limiter = new FixedWindowRateLimiter(await storageFromString('async+memory://'));
  const onePerMinute = parse('1/minute');

  expect(await limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(true);
  expect(await limiter.test(onePerMinute, 'test_namespace', 'foo')).toBe(false);
  expect(await limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(false);
});
