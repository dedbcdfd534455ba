import { describe, expect, it } from '@jest/globals';
import { divideDown, divideUp, usageThatFreesOne } from '../../../lib/strategies/strategy.js';

describe('Division', () => {
  it.each([
    [0, 7, 0, 0],
    [1, 7, 0, 1],
    [7, 7, 1, 1],
    [8, 7, 1, 2],
    [Number.MAX_SAFE_INTEGER, 1, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    [Number.MAX_SAFE_INTEGER, 2, 4_503_599_627_370_495, 4_503_599_627_370_496],
    [9_007_199_254_740_990, 4_503_599_627_370_496, 1, 2],
  ])('of %i by %i is %i down and %i up', (a, b, down, up) => {
    expect([divideDown(a, b), divideUp(a, b)]).toEqual([down, up]);
  });

  it('up of a negative number rounds towards zero', () => {
    expect(divideUp(-8, 7)).toBe(-1);
    expect(divideUp(-7, 7)).toBe(-1);
  });
});

describe('The usage that frees one unit', () => {
  it.each([
    [0, 5, 0],
    [1, 5, 0],
    [5, 5, 4],
    [9, 5, 4],
    [3, 0, 0],
  ])('of %i used of %i is %i', (used, amount, target) => {
    expect(usageThatFreesOne(used, amount)).toBe(target);
  });
});
