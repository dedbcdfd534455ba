import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { createLimit, MemoryStorage, type BatchResult, type Limit, type Settlement } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { onReturn } from '../../../lib/core/returned-units.js';
import { onlyOutcome } from '../../../lib/core/contract.js';
import {
  releaseAllSlots,
  renewAllSlots,
  slotsHeldIn,
  slotsTakenBy,
} from '../../../lib/limiter/held-slots.js';
import { HeldStorage } from '../../support/held.storage.js';

const limit = createLimit({ id: 'slots', strategy: 'concurrency', amount: 2, period: 30_000 });
const clock = new ManualClock();

/** A memory storage that records its settlements, and can fail. */
class RecordingStorage extends MemoryStorage {
  readonly settlements: Settlement[] = [];
  fails = false;

  override settle(settlements: readonly Settlement[]): BatchResult {
    this.settlements.push(...settlements);
    if (this.fails) throw new Error('down');
    return super.settle(settlements);
  }

  take(cost = 1, of: Limit = limit): BatchResult {
    return this.consume([{ identity: 'somebody', limit: of, cost }]);
  }

  get settled(): number[] {
    return this.settlements.map(({ actual }) => actual);
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

/** A limit of slots with its own hold. */
function slotsFor(hold: number, id = `hold ${hold}`, amount = 5): Limit {
  return createLimit({ id, policy: id, strategy: 'concurrency', amount, period: hold });
}

describe('A slot that is held', () => {
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

  it('that was released before is not kept', () => {
    const slots = slotsTakenBy(storage, storage.take());
    void slots?.release();
    slots?.keep();
    pass(60_000);
    expect(storage.settled).toEqual([0]);
  });

  it('is announced with its release, for those who wait', () => {
    const announced: unknown[] = [];
    onReturn(storage, (cells) => announced.push(cells?.map(({ identity, limit: { id } }) => [identity, id])));
    const slots = slotsTakenBy(storage, storage.take());
    slots?.renew();
    expect(announced).toEqual([]);
    void slots?.release();
    expect(announced).toEqual([[['somebody', 'slots']]]);
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

  it.each([
    ['before', [30_000, 6000]],
    ['after', [6000, 30_000]],
  ])('is renewed at its own time, taken %s others with a shorter hold', (_order, holds) => {
    for (const hold of holds) slotsTakenBy(storage, storage.take(1, slotsFor(hold)))?.keep();
    pass(20_000);
    const renewed = holds.map(
      (hold) => storage.settlements.filter(({ limit: { period } }) => period === hold).length,
    );
    expect(renewed).toEqual(holds.map((hold) => (hold === 6000 ? 10 : 2)));
  });

  it('is renewed at a third of the shortest hold of its decision', () => {
    const limits = [slotsFor(30_000), slotsFor(6000), slotsFor(60_000)];
    const result = storage.consume(limits.map((of) => ({ identity: 'somebody', limit: of, cost: 1 })));
    slotsTakenBy(storage, result)?.keep();
    pass(2000);
    expect(storage.settlements.map(({ limit: { period } }) => period)).toEqual([30_000, 6000, 60_000]);
  });

  it('is renewed each ms at most, however short its hold', () => {
    slotsTakenBy(storage, storage.take(1, slotsFor(1)))?.keep();
    jest.advanceTimersByTime(5);
    expect(storage.settled).toEqual([1, 1, 1, 1, 1]);
  });

  it('is renewed once per interval, however often it is kept', () => {
    const slots = slotsTakenBy(storage, storage.take())?.keep();
    slots?.keep();
    pass(10_000);
    expect(storage.settled).toEqual([1]);
    void slots?.release();
    pass(10_000);
    expect(storage.settled).toEqual([1, 0]);
  });

  it('is renewed early, by up to an eighth of the interval, with one that was taken before it', () => {
    slotsTakenBy(storage, storage.take(1, slotsFor(24_000, 'first')))?.keep();
    pass(1000);
    slotsTakenBy(storage, storage.take(1, slotsFor(24_000, 'second')))?.keep();
    pass(1000);
    slotsTakenBy(storage, storage.take(1, slotsFor(24_000, 'third')))?.keep();
    pass(6000);
    expect(storage.settlements.map(({ limit: { id } }) => id)).toEqual(['first', 'second']);
    pass(2000);
    expect(storage.settlements.map(({ limit: { id } }) => id)).toEqual(['first', 'second', 'third']);
  });

  it.each([0, 1, 2])('is still renewed when one beside it is released (number %i)', (released) => {
    const many = slotsFor(30_000);
    const slots = [0, 1, 2].map(() => slotsTakenBy(storage, storage.take(1, many))?.keep());
    void slots[released]?.release();
    pass(20_000);
    expect(storage.settled).toEqual([0, 1, 1, 1, 1]);
  });

  it('that a renewal has taken again is released', async () => {
    const slots = slotsTakenBy(storage, storage.take())?.keep();
    storage.fails = true;
    pass(40_000);
    storage.fails = false;
    pass(10_000);
    expect(storage.left).toBe(1);
    await slots?.release();
    expect(storage.left).toBe(2);
  });

  it('is one of the limit that the store has counted it for since a renewal', () => {
    const slots = slotsTakenBy(storage, storage.take());
    const another = slotsFor(30_000, 'another');
    const settle = storage.settle.bind(storage);
    jest.spyOn(storage, 'settle').mockImplementation((settlements) => {
      const result = settle(settlements);
      return { ...result, outcomes: result.outcomes.map((one) => ({ ...one, limit: another })) };
    });
    slots?.renew();
    void slots?.release();
    expect(storage.settlements.map(({ limit: { id }, actual }) => [id, actual])).toEqual([
      ['slots', 1],
      ['another', 0],
    ]);
  });

  it('is counted by its policy, in its storage, while it is kept', () => {
    const other = new RecordingStorage({ clock });
    const [one, two] = [slotsFor(30_000, 'one'), slotsFor(30_000, 'two')];
    slotsTakenBy(storage, storage.take(2, one))?.keep();
    const second = slotsTakenBy(storage, storage.take(3, one))?.keep();
    slotsTakenBy(storage, storage.take(1, two))?.keep();
    slotsTakenBy(other, other.take(1, two))?.keep();
    expect([...slotsHeldIn(storage)]).toEqual([
      ['one', 5],
      ['two', 1],
    ]);
    void second?.release();
    expect([...slotsHeldIn(storage)]).toEqual([
      ['one', 2],
      ['two', 1],
    ]);
    expect([...slotsHeldIn(other)]).toEqual([['two', 1]]);
    void releaseAllSlots(other);
    expect([...slotsHeldIn(other)]).toEqual([]);
  });

  it('is renewed at once with all others of its storage', () => {
    const other = new RecordingStorage({ clock });
    for (const cost of [1, 2]) slotsTakenBy(storage, storage.take(cost, slotsFor(30_000)))?.keep();
    slotsTakenBy(other, other.take())?.keep();
    renewAllSlots(storage);
    expect([storage.settled, other.settled]).toEqual([[1, 2], []]);
    void releaseAllSlots(other);
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

describe('A slot in a store that answers later', () => {
  let held: HeldStorage;
  beforeEach(() => {
    held = new HeldStorage(storage);
  });
  afterEach(async () => {
    const released = releaseAllSlots(held);
    for (const call of held.calls) call.answer();
    await nextTurn();
    held.calls.at(-1)?.answer();
    await released;
  });

  it('is released after the renewal in flight', async () => {
    const slots = slotsTakenBy(held, storage.take())?.keep();
    pass(10_000);
    const released = slots?.release();
    await nextTurn();
    expect(held.actual).toEqual([[1]]);
    held.calls[0]?.answer();
    await nextTurn();
    expect(held.actual).toEqual([[1], [0]]);
    held.calls[1]?.answer();
    await released;
    expect(storage.left).toBe(2);
  });

  it('is renewed after the renewal in flight', async () => {
    slotsTakenBy(held, storage.take())?.keep();
    pass(20_000);
    await nextTurn();
    expect(held.actual).toEqual([[1]]);
    held.calls[0]?.answer();
    await nextTurn();
    expect(held.actual).toEqual([[1], [1]]);
  });

  it('is renewed at the next interval after a renewal that was rejected', async () => {
    slotsTakenBy(held, storage.take())?.keep();
    pass(10_000);
    held.calls[0]?.lose(false);
    await nextTurn();
    expect(held.actual).toEqual([[1]]);
    pass(10_000);
    expect(held.actual).toEqual([[1], [1]]);
  });

  it('is taken again after the release in flight, and renewed and released as before', async () => {
    const slots = slotsTakenBy(held, storage.take())?.keep();
    slots?.takeAgain(); // it is held
    const released = slots?.release();
    slots?.takeAgain();
    await nextTurn();
    expect(held.actual).toEqual([[0]]);
    held.calls[0]?.answer();
    await released;
    await nextTurn();
    expect(held.actual).toEqual([[0], [1]]);
    held.calls[1]?.answer();
    await nextTurn();
    expect(storage.left).toBe(1);
    pass(10_000);
    expect(held.actual).toEqual([[0], [1], [1]]);
    const again = slots?.release();
    held.calls[2]?.answer();
    await nextTurn();
    held.calls[3]?.answer();
    await again;
    expect([held.actual, storage.left]).toEqual([[[0], [1], [1], [0]], 2]);
  });

  it('is released once: the second call waits for the first', async () => {
    const slots = slotsTakenBy(held, storage.take());
    const released: number[] = [];
    const calls = [1, 2].map(async (call) => {
      await slots?.release();
      released.push(call);
    });
    await nextTurn();
    expect([held.actual, released]).toEqual([[[0]], []]);
    held.calls[0]?.answer();
    await Promise.all(calls);
    expect([held.actual, released]).toEqual([[[0]], [1, 2]]);
  });

  it('whose release is rejected ends without an error', async () => {
    const released = slotsTakenBy(held, storage.take())?.release();
    held.calls[0]?.lose(false);
    await expect(released).resolves.toBeUndefined();
  });
});
