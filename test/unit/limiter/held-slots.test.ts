import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { createLimit, MemoryStorage, type BatchResult, type Settlement } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { onlyOutcome } from '../../../lib/core/contract.js';
import { releaseAllSlots, slotsTakenBy } from '../../../lib/limiter/held-slots.js';

describe('A slot that is held', () => {
  const limit = createLimit({ id: 'slots', strategy: 'concurrency', amount: 2, period: 30_000 });
  const clock = new ManualClock();

  /** A memory storage that records its settlements, and can fail. */
  class RecordingStorage extends MemoryStorage {
    readonly settled: number[] = [];
    fails = false;

    override settle(settlements: readonly Settlement[]): BatchResult {
      this.settled.push(...settlements.map(({ actual }) => actual));
      if (this.fails) throw new Error('down');
      return super.settle(settlements);
    }

    take(cost = 1): BatchResult {
      return this.consume([{ identity: 'somebody', limit, cost }]);
    }

    get left(): number {
      return onlyOutcome(this.peek([{ identity: 'somebody', limit, cost: 0 }])).remaining;
    }
  }

  let storage: RecordingStorage;
  beforeAll(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
  });
  beforeEach(() => {
    storage = new RecordingStorage({ clock });
  });
  afterEach(async () => {
    await releaseAllSlots(storage);
  });
  afterAll(() => {
    jest.useRealTimers();
  });

  /** Lets time pass, for timers and the storage. */
  function pass(milliseconds: number): void {
    for (let step = 0; step < milliseconds; step += 1000) {
      clock.advance(1000);
      jest.advanceTimersByTime(1000);
    }
  }

  it('is renewed at a third of its hold, for as long as it takes', () => {
    slotsTakenBy(storage, storage.take(2))?.keep();
    pass(10_000);
    expect(storage.settled).toEqual([2]);
    pass(290_000);
    expect([storage.settled.length, storage.left]).toEqual([30, 0]);
  });

  it('is renewed no more after its release', () => {
    const slots = slotsTakenBy(storage, storage.take())?.keep();
    void slots?.release();
    pass(60_000);
    expect([storage.settled, storage.left]).toEqual([[0], 2]);
    slots?.keep();
    pass(60_000);
    expect(storage.settled).toEqual([0]);
  });

  it('is free after its hold if nothing renews it', () => {
    slotsTakenBy(storage, storage.take());
    pass(30_000);
    expect([storage.settled, storage.left]).toEqual([[], 2]);
  });

  it('is renewed again after the store has failed, even once its hold was over', () => {
    slotsTakenBy(storage, storage.take())?.keep();
    storage.fails = true;
    pass(40_000);
    expect(storage.left).toBe(2);
    storage.fails = false;
    pass(10_000);
    expect(storage.left).toBe(1);
  });

  it('whose release fails is free after its hold', async () => {
    const slots = slotsTakenBy(storage, storage.take())?.keep();
    storage.fails = true;
    await slots?.release();
    pass(29_000);
    expect(storage.left).toBe(1);
    pass(1000);
    expect(storage.left).toBe(2);
  });

  it('is renewed at its own time, beside others with other holds', () => {
    const short = createLimit({ id: 'short', strategy: 'concurrency', amount: 1, period: 6000 });
    slotsTakenBy(storage, storage.take())?.keep();
    slotsTakenBy(storage, storage.consume([{ identity: 'other', limit: short, cost: 1 }]))?.keep();
    pass(20_000);
    expect(storage.settled.length).toBe(2 + 10);
  });

  it('is released with all others of its storage', async () => {
    const other = new RecordingStorage({ clock });
    slotsTakenBy(storage, storage.take())?.keep();
    slotsTakenBy(other, other.take())?.keep();
    await releaseAllSlots(storage);
    expect([storage.left, other.left]).toEqual([2, 1]);
    await releaseAllSlots(other);
  });

  it('does not exist in a decision without slots, and in one that took none', () => {
    const rate = createLimit({ id: 'rate', strategy: 'fixed-window', amount: 2, period: 1000 });
    expect(slotsTakenBy(storage, storage.consume([{ identity: 'a', limit: rate, cost: 1 }]))).toBeUndefined();
    expect(slotsTakenBy(storage, storage.take(0))).toBeUndefined();
    expect(slotsTakenBy(storage, storage.take(3))).toBeUndefined();
  });
});
