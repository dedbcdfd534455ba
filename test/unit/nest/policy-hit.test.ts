import { describe, expect, it } from '@jest/globals';
import { createLimit, type LimitWait } from 'nestjs-limits';
import { mergeSameCell, type PolicyHit } from '../../../lib/nest/request/policy-hit.js';
import type { RoutePolicy } from '../../../lib/nest/routes/route-policy.js';

function hitOf(amount: number, wait: LimitWait | undefined): PolicyHit {
  const limit = createLimit({ id: 'shared', strategy: 'fixed-window', amount, period: 1000, wait });
  return { identity: 'a', limit, cost: 1, policy: {} as RoutePolicy };
}

describe('Hits of two policies on one cell', () => {
  it('wait for the shorter time, in the smaller queue', () => {
    const hits = [hitOf(5, { maxWait: 1000, maxQueue: 9 }), hitOf(3, { maxWait: 2000, maxQueue: 4 })];
    const [merged, ...others] = mergeSameCell(hits);
    expect(others).toEqual([]);
    expect(merged?.limit).toMatchObject({ amount: 3, wait: { maxWait: 1000, maxQueue: 4 } });
  });

  it('share the smaller capacity of two token buckets, at the rate of the slower one', () => {
    const [slow, fast] = [
      { amount: 3, burst: 20 },
      { amount: 5, burst: 9 },
    ].map((sizes) => ({
      ...hitOf(1, undefined),
      limit: createLimit({ id: 'shared', strategy: 'token-bucket', period: 1000, ...sizes }),
    }));
    expect(mergeSameCell([slow, fast] as PolicyHit[])[0]?.limit).toMatchObject({ amount: 3, burst: 9 });
  });

  it('do not wait if one of the policies has no wait', () => {
    const wait = { maxWait: 1000, maxQueue: 9 };
    for (const hits of [
      [hitOf(5, wait), hitOf(3, undefined)],
      [hitOf(5, undefined), hitOf(3, wait)],
    ])
      expect(mergeSameCell(hits)[0]?.limit.wait).toBeUndefined();
  });
});
