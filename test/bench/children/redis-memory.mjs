/** A process that weighs what one identity takes on a Redis server. */
import { createHash } from 'node:crypto';
import { ThrottlerStorageRedisService } from '@nest-lab/throttler-storage-redis';
import { Redis } from 'ioredis';
import { createLimit } from 'nestjs-limits';
import { RedisStorage } from 'nestjs-limits/redis';
import { answerQuestions } from '../support/child.mjs';

/** With our prefix, a key of 30 bytes. */
const IDENTITY = 'ip:203.0.113.7';
const AMOUNT = 10_000;
const MINUTE = 60_000;
/** A minute, an hour, a day, a week. */
const PERIODS = [MINUTE, 60 * MINUTE, 1440 * MINUTE, 10_080 * MINUTE];

const [uri] = process.argv.slice(2);
const client = new Redis(uri);
const nestLab = new ThrottlerStorageRedisService(client);
let now = Date.now();
const storage = new RedisStorage(uri, { clock: { now: () => now } });

answerQuestions({
  /** Bytes after so many hits, each in a ms of its own, under so many limits of one strategy. */
  async weighOurs(strategy, limitCount, hits) {
    await client.flushall();
    const limits = PERIODS.slice(0, limitCount).map((period) =>
      createLimit({ id: `default:${period}:${strategy}`, strategy, amount: AMOUNT, period }),
    );
    for (let hit = 0; hit < hits; hit++) {
      now++;
      await storage.consume(limits.map((limit) => ({ identity: IDENTITY, limit, cost: 1 })));
    }
    return weighAll();
  },

  /**
   * Bytes after so many hits under so many limits.
   *
   * @param hashed whether the identity is hashed first, as the guard of @nestjs/throttler does
   */
  async weighNestLab(limitCount, hits, hashed) {
    await client.flushall();
    const key = hashed ? createHash('sha256').update(IDENTITY).digest('hex') : IDENTITY;
    for (let hit = 0; hit < hits; hit++) {
      for (const [index, period] of PERIODS.slice(0, limitCount).entries())
        await nestLab.increment(key, period, AMOUNT, period, ['default', 'hour', 'day', 'week'][index]);
    }
    return weighAll();
  },
});

async function weighAll() {
  const keys = await client.keys('*');
  const bytes = await Promise.all(keys.map((key) => client.memory('USAGE', key, 'SAMPLES', 0)));
  return { bytes: bytes.reduce((sum, each) => sum + each, 0), keys: keys.length };
}
