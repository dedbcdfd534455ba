import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  ConfigurationError,
  createLimit,
  Decision,
  FixedWindowRateLimiter,
  MemoryStorage,
  TokenBucketRateLimiter,
  type Limit,
  type Outcome,
} from 'nestjs-limits';
import { settleOutcomes } from '../../../lib/core/settlement.js';
import { FallbackStorage } from '../../../lib/resilience/fallback.storage.js';
import { ScriptedStorage } from '../resilience/scripted.storage.js';

let storage: MemoryStorage;
let limiter: FixedWindowRateLimiter;

beforeEach(() => {
  storage = new MemoryStorage();
  limiter = new FixedWindowRateLimiter(storage);
});

const LIMIT = '100/day';

function consume(cost: number): Decision {
  return limiter.consume(LIMIT, ['acme'], { cost }) as Decision;
}

function left(): unknown {
  return (limiter.getWindowStats(LIMIT, 'acme') as { remaining: number }).remaining;
}

/** A decision on hits of two policies, the first of which has two limits. */
function decisionOfPolicies(cost = 10): Decision {
  const limits = [
    policyLimit('tokens', 'minutely'),
    policyLimit('tokens', 'daily'),
    policyLimit('requests', 'requests'),
  ];
  return new Decision(storage.consume(limits.map((limit) => ({ identity: 'acme', limit, cost }))));
}

function policyLimit(policy: string, id: string): Limit {
  return createLimit({ id, policy, strategy: 'fixed-window', amount: 100, period: 86_400_000 });
}

function remainders({ limits }: Decision): [string, number][] {
  return limits.map(({ limit, remaining }: Outcome) => [limit.id, remaining]);
}

describe('limiter.settle', () => {
  it('sets the actual cost of a decision, less or more, and returns the new counts', () => {
    const decision = consume(10);
    const less = limiter.settle(decision, 4) as Decision;
    expect([less.allowed, less.remaining, left()]).toEqual([true, 96, 96]);
    const more = limiter.settle(decision, 130) as Decision;
    expect([more.allowed, more.remaining, left()]).toEqual([true, 0, 0]);
    expect(limiter.test(LIMIT, 'acme')).toBe(false);
    void limiter.settle(decision, 99);
    expect([limiter.hit(LIMIT, 'acme'), limiter.hit(LIMIT, 'acme')]).toEqual([true, false]);
  });

  it('settles the decision that it has returned', () => {
    const decision = consume(10);
    const settled = limiter.settle(decision, 4) as Decision;
    void limiter.settle(settled, 20);
    void limiter.settle(decision, 5);
    expect(left()).toBe(95);
    expect(settled.receipts).toMatchObject([{ cost: 5 }]);
  });

  it('charges a decision that reserved nothing', () => {
    void limiter.settle(consume(0), 30);
    expect(left()).toBe(70);
  });

  it('settles all limits of one policy to one cost', () => {
    const decision = limiter.consume('10/second; 100/day', ['acme'], { cost: 5 }) as Decision;
    const settled = limiter.settle(decision, 2) as Decision;
    expect(settled.limits.map(({ remaining }) => remaining)).toEqual([8, 98]);
  });

  it('settles the limits of each policy by its name, and keeps the others', () => {
    const decision = decisionOfPolicies();
    expect(remainders(limiter.settle(decision, { tokens: 7 }) as Decision)).toEqual([
      ['minutely', 93],
      ['daily', 93],
      ['requests', 90],
    ]);
    expect(remainders(limiter.settle(decision, { tokens: 0, requests: 1 }) as Decision)).toEqual([
      ['minutely', 100],
      ['daily', 100],
      ['requests', 99],
    ]);
    expect(remainders(limiter.settle(decision, {}) as Decision)).toEqual(remainders(decision));
  });

  it('settles the limits of both phases of a decision', () => {
    const [early, late] = [policyLimit('early', 'early'), policyLimit('late', 'late')];
    const hit = (limit: Limit) => storage.consume([{ identity: 'acme', limit, cost: 10 }]);
    const decision = new Decision(hit(late), new Decision(hit(early)));
    expect(remainders(limiter.settle(decision, { early: 1, late: 2 }) as Decision)).toEqual([
      ['early', 99],
      ['late', 98],
    ]);
  });

  it('throws for a policy that the decision does not have, and settles nothing then', () => {
    const decision = decisionOfPolicies();
    const settle = (): unknown => limiter.settle(decision, { tokens: 1, uploads: 2 });
    expect(settle).toThrow(ConfigurationError);
    expect(settle).toThrow('The decision has no policy "uploads". Its policies: tokens, requests.');
    expect(remainders(limiter.settle(decision, { requests: 10 }) as Decision)[0]).toEqual(['minutely', 90]);
  });

  it('counts no slots among the policies: they are released, not settled', () => {
    const slots = createLimit({
      id: 's',
      policy: 'slots',
      strategy: 'concurrency',
      amount: 5,
      period: 30_000,
    });
    const limits = [policyLimit('tokens', 'daily'), slots];
    const decision = new Decision(
      storage.consume(limits.map((limit) => ({ identity: 'acme', limit, cost: 2 }))),
    );
    expect(remainders(limiter.settle(decision, 4) as Decision)).toEqual([
      ['daily', 96],
      ['s', 3],
    ]);
    expect(() => limiter.settle(decision, { slots: 1 })).toThrow(
      'The decision has no policy "slots". Its policies: tokens.',
    );
  });

  it('checks each cost by the limits of its own policy', () => {
    const year = 365 * 86_400_000;
    const limits = [
      createLimit({ id: 'w', policy: 'window', strategy: 'fixed-window', amount: 9, period: year }),
      createLimit({ id: 'b', policy: 'bucket', strategy: 'token-bucket', amount: 9, period: year }),
    ];
    const decision = new Decision(
      storage.consume(limits.map((limit) => ({ identity: 'acme', limit, cost: 2 }))),
    );
    expect(remainders(limiter.settle(decision, { window: 2 ** 50, bucket: 1 }) as Decision)).toEqual([
      ['w', 0],
      ['b', 8],
    ]);
    expect(() => limiter.settle(decision, { bucket: 2 ** 50 })).toThrow(RangeError);
  });

  it('is final: the outcome of the request changes nothing afterwards', () => {
    const result = storage.consume([{ identity: 'acme', limit: policyLimit('tokens', 'daily'), cost: 10 }]);
    const settled = limiter.settle(new Decision(result), 4) as Decision;
    const changes = result.outcomes.map((outcome) => ({ outcome, actual: 0 }));
    void settleOutcomes(storage, result, changes, 'outcome');
    expect((limiter.settle(settled, {}) as Decision).receipts).toMatchObject([{ cost: 4 }]);
  });

  it('throws for one cost for several policies', () => {
    const settle = (): unknown => limiter.settle(decisionOfPolicies(), 5);
    expect(settle).toThrow(ConfigurationError);
    expect(settle).toThrow(
      'The decision has the policies tokens, requests. Give the actual cost of each: settle(decision, { tokens: 1 }).',
    );
  });

  it.each([-1, 0.5, NaN, Infinity, 2 ** 53, '3', undefined, null])('throws for the cost %p', (cost) => {
    const decision = consume(10);
    expect(() => limiter.settle(decision, cost as number)).toThrow(RangeError);
    expect(() => limiter.settle(decision, { default: cost as number })).toThrow();
    expect(left()).toBe(90);
  });

  it('throws for a cost above the capacity of a token bucket', () => {
    const buckets = new TokenBucketRateLimiter(storage);
    const decision = buckets.consume('5/day', 'acme') as Decision;
    const most = Math.floor(Number.MAX_SAFE_INTEGER / 86_400_000);
    expect(() => buckets.settle(decision, most + 1)).toThrow(RangeError);
    expect(() => buckets.settle(decision, most + 1)).toThrow(`must be at most ${most}; got ${most + 1}.`);
    expect((buckets.settle(decision, most) as Decision).remaining).toBe(0);
  });
});

describe('A decision that took nothing', () => {
  it.each<[string, () => Decision]>([
    ['was refused', () => consume(101)],
    ['was only looked at', () => limiter.peek(LIMIT, ['acme'], { cost: 10 }) as Decision],
    [
      'was refused in shadow',
      () => {
        const limit = createLimit({ ...policyLimit('shadow', 'shadow'), burst: undefined, mode: 'shadow' });
        return new Decision(storage.consume([{ identity: 'acme', limit, cost: 101 }]));
      },
    ],
  ])('because it %s settles nothing, and stays as it was', (_what, make) => {
    const decision = make();
    const settled = limiter.settle(decision, 5) as Decision;
    expect(settled.limits).toEqual(decision.limits);
    expect(settled.allowed).toBe(decision.allowed);
    expect([left(), storage.reset()]).toEqual([100, 0]);
  });

  it('because it was allowed without the store settles nothing', async () => {
    const store = new ScriptedStorage();
    store.does = 'fail';
    const allowing = new FixedWindowRateLimiter(
      new FallbackStorage(store, { onError: 'allow', instances: 1 }),
    );
    const decision = await allowing.consume(LIMIT, ['acme'], { cost: 10 });
    store.does = 'answer';
    await allowing.settle(decision, 50);
    expect([decision.degraded, store.settled]).toEqual(['allow', []]);
  });
});

describe('limiter.refund of a decision', () => {
  it('is a settlement to 0, and changes nothing the second time', () => {
    const decision = consume(10);
    consume(20);
    expect(limiter.refund(decision)).toBeUndefined();
    expect(left()).toBe(80);
    void limiter.refund(decision);
    void limiter.settle(decision, 0);
    expect(left()).toBe(80);
  });

  it('can be followed by a settlement to more', () => {
    const decision = consume(10);
    void limiter.refund(decision);
    void limiter.settle(decision, 3);
    expect(left()).toBe(97);
    void limiter.refund(decision);
    expect(left()).toBe(100);
  });

  it('refunds the charge of a settlement', () => {
    const decision = consume(10);
    void limiter.settle(decision, 90);
    void limiter.refund(decision);
    expect(left()).toBe(100);
  });
});
