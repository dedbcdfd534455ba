import { describe, expect, it } from '@jest/globals';
import { block, type BlockRule, type BlockState } from '../../../lib/strategies/block.js';

const T = 1_700_000_000_000;
const MINUTE = 60_000;
const AMOUNT = 5;
/** The amount of a block that applies to every limit. */
const EVERY_AMOUNT = Number.MAX_SAFE_INTEGER;
const RULE = ruleOf(1000, 10_000, 60_000);

/** A limit per minute. */
function ruleOf(...durations: number[]): BlockRule {
  return { amount: AMOUNT, block: durations, blockAfter: 1, period: MINUTE };
}

/** A block of a limit without reservations. */
function blockOf(until: number, level: number, amount = AMOUNT): BlockState {
  return { until, level, amount, start: T, pending: 0, before: 0, refusals: 0, since: 0 };
}

/** The first stored numbers of a block: its end and its level. */
function stored(state: BlockState): number[] {
  return block.encode(state).slice(0, 2);
}

describe('A block after several refusals', () => {
  const rule: BlockRule = { ...ruleOf(1000, 10_000), blockAfter: 3 };

  function refuse(times: number[], of = rule): BlockState | undefined {
    return times.reduce<BlockState | undefined>((state, at) => block.commit(state, of, T + at), undefined);
  }

  it('begins with the last of them', () => {
    expect(block.blockedUntil(refuse([0, 1]), rule, T + 1)).toBe(T + 1);
    expect(block.blockedUntil(refuse([0, 1, 2]), rule, T + 2)).toBe(T + 1002);
  });

  it('counts them in a period that begins with the first one', () => {
    expect(block.blockedUntil(refuse([0, 1, MINUTE - 1]), rule, T + MINUTE - 1)).toBe(T + MINUTE + 999);
    const tooLate = refuse([0, 1, MINUTE]);
    expect(block.blockedUntil(tooLate, rule, T + MINUTE)).toBe(T + MINUTE);
    expect(tooLate).toMatchObject({ refusals: 1, since: T + MINUTE });
  });

  it('begins to count again after a block, with the next duration', () => {
    const again = refuse([0, 1, 2, 1002, 1003, 1004]);
    expect(stored(again as BlockState)).toEqual([T + 11_004, 1]);
    expect(again).toMatchObject({ refusals: 0 });
  });

  it('keeps the level while refusals are counted, and is forgotten with the last that counts', () => {
    const counting = refuse([0, 1, 2, 5000]) as BlockState;
    expect(counting).toMatchObject({ until: T + 1002, level: 0, refusals: 1, since: T + 5000 });
    expect(block.expiresAt(counting, rule)).toBe(T + 5000 + MINUTE);
  });

  it('is stored with its refusals, and loaded as it was', () => {
    for (const state of [refuse([0]), refuse([0, 1]), refuse([0, 1, 2]), refuse([0, 1, 2, 5000])])
      expect(block.decode(block.encode(state as BlockState))).toMatchObject({
        until: state?.until,
        level: state?.level,
        amount: state?.amount,
        refusals: state?.refusals,
        since: state?.since,
      });
  });

  it('keeps reservations and refusals apart', () => {
    const reserved = block.reserve(refuse([0, 1]), rule, 4, T + 2);
    expect(block.decode(block.encode(reserved))).toEqual(reserved);
    expect(block.commit(reserved, rule, T + 3)).toMatchObject({ pending: 4, until: T + 1003 });
    expect(block.settle(reserved, rule, 4, T + 2, T + 3)).toMatchObject({ pending: 0, refusals: 2 });
  });

  it('begins the period of a reservation with it, if earlier ones were dropped', () => {
    const first = block.reserve(undefined, rule, 1, T);
    const second = block.reserve(first, rule, 0, T + MINUTE);
    expect(second).toMatchObject({ start: T + MINUTE, pending: 0, before: 1 });
    const dropped = T + 2 * MINUTE;
    expect(block.reserve(second, rule, 1, dropped - 1)).toMatchObject({ start: T + MINUTE, before: 1 });
    expect(block.reserve(second, rule, 1, dropped)).toMatchObject({ start: dropped, pending: 1, before: 0 });
    expect(block.reserve(first, rule, 1, dropped - 1)).toMatchObject({ start: T + MINUTE, before: 1 });
    expect(block.reserve(first, rule, 1, dropped)).toMatchObject({ start: dropped, pending: 1, before: 0 });
  });

  it('is lifted by hand together with its refusals', () => {
    expect(block.byHand(refuse([0, 1]), rule, 0, T + 2)).toBeUndefined();
    expect(block.byHand(refuse([0, 1]), rule, 500, T + 2)).toMatchObject({ until: T + 502, refusals: 0 });
  });

  it('counts refusals from the future as made now, after a clock has gone back', () => {
    const late = refuse([MINUTE, MINUTE]);
    expect(block.commit(late, { ...rule, blockAfter: 4 }, T)).toMatchObject({ refusals: 3, since: T });
  });
});

describe('A block', () => {
  it('lasts until the last ms before its end', () => {
    const state = block.commit(undefined, ruleOf(1000), T);

    expect(stored(state)).toEqual([T + 1000, 0]);
    expect(block.blockedUntil(state, ruleOf(1000), T)).toBe(T + 1000);
    expect(block.blockedUntil(state, ruleOf(1000), T + 999)).toBe(T + 1000);
    expect(block.blockedUntil(state, ruleOf(1000), T + 1000)).toBe(T + 1000);
    expect(block.blockedUntil(state, ruleOf(1000), T + 5000)).toBe(T + 5000);
  });

  it('does not exist without a state', () => {
    expect(block.blockedUntil(undefined, RULE, T)).toBe(T);
  });

  it('lasts longer each time, and at most as long as the last duration', () => {
    const first = block.commit(undefined, RULE, T);
    const second = block.commit(first, RULE, T + 1000);
    const third = block.commit(second, RULE, T + 11_000);
    const fourth = block.commit(third, RULE, T + 71_000);

    expect([first, second, third, fourth].map(stored)).toEqual([
      [T + 1000, 0],
      [T + 11_000, 1],
      [T + 71_000, 2],
      [T + 131_000, 2],
    ]);
  });

  it('starts with the first duration again once the longest has passed without a block', () => {
    const second = blockOf(T, 1);

    expect(stored(block.commit(second, RULE, T + 59_999))).toEqual([T + 119_999, 2]);
    expect(stored(block.commit(second, RULE, T + 60_000))).toEqual([T + 61_000, 0]);
    expect(block.expiresAt(second, RULE)).toBe(T + 60_000);
  });

  it('uses the longest duration at any index', () => {
    const durations = ruleOf(60_000, 1000);
    const first = block.commit(undefined, durations, T);

    expect(stored(block.commit(first, durations, T + 60_000))).toEqual([T + 61_000, 1]);
    expect(block.expiresAt(first, durations)).toBe(T + 120_000);
  });

  it('lasts at most the longest duration from now after the clock went back', () => {
    const state = block.commit(undefined, RULE, T);

    expect(block.blockedUntil(state, RULE, T - 30_000)).toBe(T + 1000);
    expect(block.blockedUntil(state, RULE, T - 500_000)).toBe(T - 440_000);
  });

  it('from the future is shortened in place to the longest duration; any other is not changed', () => {
    const future = blockOf(T + 60_001, 1);
    expect(block.shorten(future, RULE, T)).toBe(true);
    expect(future).toEqual(blockOf(T + 60_000, 1));
    expect(block.shorten(future, RULE, T)).toBe(false);
    expect(future).toEqual(blockOf(T + 60_000, 1));
  });

  it('by hand ends after its time, and the next refusal uses the second duration', () => {
    const state = block.byHand(undefined, RULE, 500, T);
    expect(state).toEqual(blockOf(T + 500, 0, EVERY_AMOUNT));
    expect(stored(block.commit(state, RULE, T + 500))).toEqual([T + 10_500, 1]);
  });

  it('lifted by hand is removed', () => {
    expect(block.byHand(block.commit(undefined, RULE, T), RULE, 0, T + 1)).toBeUndefined();
  });

  it('keeps its level within the durations when there are fewer of them than before', () => {
    expect(stored(block.commit(blockOf(T, 2), ruleOf(1000), T))).toEqual([T + 1000, 0]);
  });

  it('applies to all limits except those of a larger amount', () => {
    const state = block.commit(undefined, RULE, T);
    const ends = [0, AMOUNT, AMOUNT + 1].map((amount) => block.blockedUntil(state, { ...RULE, amount }, T));
    expect(ends).toEqual([T + 1000, T + 1000, T]);
  });

  it('uses the amount of the limit that refused last, and the next duration', () => {
    const low = block.commit(undefined, RULE, T);
    const high = block.commit(low, { ...RULE, amount: AMOUNT + 1 }, T + 10);
    expect(block.encode(high)).toEqual([T + 10_010, 1, AMOUNT + 1]);
    expect(block.blockedUntil(high, RULE, T + 10)).toBe(T + 10_010);
  });

  it('by hand applies to limits of every amount', () => {
    const state = block.byHand(block.commit(undefined, RULE, T), RULE, 500, T);
    expect(block.blockedUntil(state, { ...RULE, amount: 1_000_000 }, T)).toBe(T + 500);
  });

  it('is stored as three whole numbers and loaded again', () => {
    const state = block.commit(undefined, RULE, T);
    expect(block.encode(state)).toEqual([T + 1000, 0, AMOUNT]);
    expect(block.decode(block.encode(state))).toEqual({ ...state, start: 0 });
  });

  it('that applies to every limit is stored as two whole numbers and loaded again', () => {
    const state = block.decode([T + 1000, 2]);

    expect(state.amount).toBe(EVERY_AMOUNT);
    expect(block.encode(state)).toEqual([T + 1000, 2]);
    expect(block.blockedUntil(state, RULE, T)).toBe(T + 1000);
    expect(stored(block.commit(state, RULE, T + 1000))).toEqual([T + 61_000, 2]);
  });
});

describe('The reservations of a limit that blocks by outcome', () => {
  it('add up, and are removed as they are settled', () => {
    const one = block.reserve(undefined, RULE, 2, T);
    const two = block.reserve(one, RULE, 3, T + 10);
    expect(block.pending(two, RULE, T + 10)).toBe(5);

    const settled = block.settle(two, RULE, 2, T, T + 20);
    expect(block.pending(settled, RULE, T + 20)).toBe(3);
    expect(block.settle(settled, RULE, 3, T + 10, T + 30)).toBeUndefined();
  });

  it('are kept for one period in addition to the current one, then dropped, settled or not', () => {
    const first = block.reserve(undefined, RULE, 2, T);
    const both = block.reserve(first, RULE, 3, T + MINUTE);
    expect(
      [MINUTE, 2 * MINUTE - 1, 2 * MINUTE, 3 * MINUTE].map((ms) => block.pending(both, RULE, T + ms)),
    ).toEqual([5, 5, 3, 0]);
    expect(block.expiresAt(both, RULE)).toBe(T + 3 * MINUTE);
    expect(block.expiresAt(first, RULE)).toBe(T + 2 * MINUTE);
  });

  it('are settled in the period that they were made in', () => {
    const both = block.reserve(block.reserve(undefined, RULE, 2, T), RULE, 3, T + MINUTE);

    expect(block.settle(both, RULE, 2, T, T + MINUTE)).toMatchObject({ pending: 3, before: 0 });
    expect(block.settle(both, RULE, 3, T + MINUTE, T + MINUTE)).toMatchObject({ pending: 0, before: 2 });
    expect(block.settle(both, RULE, 2, T - 1, T + MINUTE)).toMatchObject({ pending: 3, before: 2 });
  });

  it('of both periods are kept, whatever their difference, and settled in part', () => {
    const both = block.reserve(block.reserve(undefined, RULE, 3, T), RULE, 3, T + MINUTE);

    expect(block.pending(both, RULE, T + MINUTE)).toBe(6);
    expect(block.decode(block.encode(both))).toEqual(both);
    expect(block.byHand(both, RULE, 0, T + MINUTE)).toMatchObject({ pending: 3, before: 3 });
    expect(block.settle(both, RULE, 1, T, T + MINUTE)).toMatchObject({ pending: 3, before: 2 });
  });

  it('are not negative when they are settled twice', () => {
    const state = block.reserve(block.reserve(undefined, RULE, 2, T), RULE, 1, T);
    const once = block.settle(state, RULE, 2, T, T);
    expect(block.settle(once, RULE, 2, T, T)).toBeUndefined();
  });

  it('have periods that begin with the first of them, whenever a block began', () => {
    const blocked = block.commit(undefined, ruleOf(1000), T);
    const reserved = block.reserve(blocked, ruleOf(1000), 1, T + 50_000);
    expect(reserved.start).toBe(T + 50_000);
    expect(block.reserve(block.decode(block.encode(blocked)), ruleOf(1000), 1, T + 50_000)).toEqual(reserved);
  });

  it('are kept when a block is set or lifted by hand', () => {
    const reserved = block.reserve(undefined, RULE, 2, T);
    const blocked = block.byHand(reserved, RULE, 500, T + 10);

    expect(blocked).toEqual({
      until: T + 510,
      level: 0,
      amount: EVERY_AMOUNT,
      start: T,
      pending: 2,
      before: 0,
      refusals: 0,
      since: 0,
    });
    expect(block.byHand(blocked, RULE, 0, T + 20)).toEqual({ ...reserved, level: 0 });
    expect(block.pending(block.commit(reserved, RULE, T + 30), RULE, T + 30)).toBe(2);
  });

  it('do not change a block when they are settled', () => {
    const blocked = block.commit(block.reserve(undefined, RULE, 2, T), RULE, T);
    expect(stored(block.settle(blocked, RULE, 2, T, T + 10) ?? blockOf(0, 0))).toEqual([T + 1000, 0]);
  });

  it('begin now after the clock went back', () => {
    const state = block.reserve(undefined, RULE, 2, T);
    const back = block.reserve(state, RULE, 1, T - 5000);
    expect(back).toMatchObject({ start: T - 5000, pending: 3 });
    expect(block.pending(back, RULE, T - 5000 + 2 * MINUTE)).toBe(0);
  });

  it('are stored as three more whole numbers and loaded again', () => {
    const state = block.reserve(block.commit(undefined, RULE, T), RULE, 4, T + MINUTE);
    expect(block.encode(state)).toEqual([T + 1000, 0, T + MINUTE, 4, 0, AMOUNT]);
    expect(block.decode(block.encode(state))).toEqual(state);
  });
});

it('A block without a state has no reservations to settle', () => {
  expect(block.settle(undefined, RULE, 1, T, T)).toBeUndefined();
});
