import { describe, expect, it } from '@jest/globals';
import { createLimit, MemoryStorage, type Hit } from 'nestjs-limits';
import { receiptsOf, withdrawn } from '../../../lib/core/contract.js';
import { BorrowedStorage } from '../../../lib/core/wrapped.storage.js';

const limit = createLimit({
  id: 'one',
  strategy: 'fixed-window',
  amount: 1,
  period: 60_000,
  block: [60_000],
});
const cell = { identity: 'somebody', limit };
const batch: Hit[] = [{ ...cell, cost: 1 }];

describe('A borrowed storage', () => {
  it('behaves like its inner storage', async () => {
    const storage = new BorrowedStorage(new MemoryStorage({ keyPrefix: 'lent' }));
    const left = async (): Promise<unknown> => (await storage.peek(batch)).outcomes[0]?.remaining;
    expect([storage.keyPrefix, String(storage)]).toEqual(['lent', 'MemoryStorage']);
    const result = await storage.consume(batch);
    expect([result.allowed, await left()]).toEqual([true, 0]);
    await storage.settle(withdrawn(receiptsOf(result)));
    expect(await left()).toBe(1);
    await storage.block([{ ...cell, duration: 1000 }]);
    expect(await left()).toBe(0);
    await storage.remove([cell]);
    expect(await left()).toBe(1);
    await storage.consume(batch);
    expect([await storage.check(), await storage.reset()]).toEqual([true, 1]);
  });

  it('can be reconnected, and stays open for its owner', async () => {
    let reconnected = 0;
    const inner = new MemoryStorage();
    inner.reconnect = () => {
      reconnected++;
    };
    const storage = new BorrowedStorage(inner);
    storage.reconnect();
    storage.close();
    expect([reconnected, inner.check()]).toEqual([1, true]);
  });
});
