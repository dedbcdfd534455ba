import { describe, expect } from '@jest/globals';
import fc from 'fast-check';
import { createLimit, StorageError, type Storage } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { receiptsOf } from '../../lib/core/contract.js';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';
import { fuzz } from './fuzz.js';

/** Records of slots that another program, or a broken one, has written. */

const KEY = 'nestjs-limits:{somebody}';
const clock = new ManualClock();
const limit = createLimit({ id: 'slots', strategy: 'concurrency', amount: 5, period: 30_000 });
const hits = (cost: number) => [{ identity: 'somebody', limit, cost }];

const numbers = fc.oneof(
  fc.integer({ min: -5, max: 5 }),
  fc.integer({ min: clock.now() - 60_000, max: clock.now() + 60_000 }),
  fc.constantFrom(2 ** 53, -(2 ** 53), 1e300, 0.5, -0),
);
const cells = fc.oneof(
  { weight: 6, arbitrary: fc.array(numbers, { maxLength: 20 }) },
  { weight: 1, arbitrary: fc.array(fc.oneof(numbers, fc.string(), fc.constant(null)), { maxLength: 6 }) },
  { weight: 1, arbitrary: fc.jsonValue() },
);
const texts = fc.oneof(
  { weight: 8, arbitrary: cells.map((cell) => JSON.stringify({ [limit.digest]: cell })) },
  { weight: 1, arbitrary: fc.string() },
  { weight: 1, arbitrary: fc.constantFrom(`{"${limit.digest}":[1e999,1e999,1,1,1e999,1]}`, '{', '[]') },
);

/** Takes, looks at, renews and releases slots. */
async function useSlots(storage: Storage): Promise<number> {
  const taken = receiptsOf(await storage.consume(hits(2)));
  await storage.peek(hits(1));
  for (const actual of [2, 0]) await storage.settle(taken.map((receipt) => ({ ...receipt, actual })));
  return (await storage.peek(hits(0))).outcomes[0]?.remaining ?? NaN;
}

describe('A stored record of slots', () => {
  fuzz('of any content is read or refused, and is forgotten once it is removed', texts, async (text) => {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server, { clock, timeout: 20_000 });
    server.entries.set(KEY, { text, version: 1, end: Infinity });
    const result = await useSlots(storage).catch((error: unknown) => error);
    if (result instanceof StorageError) expect(server.entries.get(KEY)?.text).toBe(text);
    else expect(result).toBeGreaterThanOrEqual(0);
    server.entries.delete(KEY);
    expect(await useSlots(storage)).toBe(5);
    await storage.close();
  });
});
