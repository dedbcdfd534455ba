import assert from 'node:assert/strict';
import {
  ConfigurationError,
  MemoryStorage,
  parse,
  storageFromString,
  TokenBucketRateLimiter,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';

const clock = new ManualClock();
const limiter = new TokenBucketRateLimiter(new MemoryStorage({ clock }));
assert.equal(limiter.hit(parse('1/minute'), 'user', '42'), true);
assert.equal(limiter.hit(parse('1/minute'), 'user', '42'), false);

for (const [uri, driver] of [
  ['redis://127.0.0.1', 'ioredis'],
  ['mongodb://127.0.0.1', 'mongodb'],
  ['etcd://127.0.0.1', 'etcd3'],
  ['postgres://127.0.0.1', 'pg'],
] as const)
  await assert.rejects(storageFromString(uri), (error: unknown) => {
    assert.ok(error instanceof ConfigurationError);
    assert.match(error.message, new RegExp(`needs the package "${driver}": npm install ${driver}$`));
    return true;
  });
