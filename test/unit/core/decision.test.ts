import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import {
  createLimit,
  Decision,
  FixedWindowRateLimiter,
  MemoryStorage,
  type CreateLimitOptions,
  type Limit,
  type Outcome,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';

const NOW = 1_700_000_000_000;

function limitOf(name: string, options: Partial<CreateLimitOptions> = {}): Limit {
  return createLimit({ id: name, strategy: 'fixed-window', amount: 10, period: 60_000, ...options });
}

function outcome(name: string, given: Partial<Outcome> & { mode?: Limit['mode'] } = {}): Outcome {
  const { mode = 'enforce', ...others } = given;
  return {
    identity: 'user',
    limit: limitOf(name, { mode }),
    cost: 1,
    allowed: true,
    remaining: 5,
    resetTime: NOW + 1000,
    retryAfter: 0,
    taken: true,
    window: undefined,
    ...others,
  };
}

function decisionOf(...outcomes: Outcome[]): Decision {
  const allowed = outcomes.every((each) => each.allowed || each.limit.mode === 'shadow');
  return new Decision({ allowed, now: NOW, outcomes });
}

describe('The binding limit of a decision', () => {
  it.each<[string, Outcome[], string]>([
    ['the only one', [outcome('only')], 'only'],
    ['the one with the least left', [outcome('a', { remaining: 3 }), outcome('b', { remaining: 2 })], 'b'],
    [
      'the first of those with the least left',
      [outcome('a', { remaining: 2 }), outcome('b', { remaining: 2 })],
      'a',
    ],
    [
      'the one that refuses, however little the others have left',
      [
        outcome('a', { remaining: 0 }),
        outcome('b', { allowed: false, cost: 5, remaining: 4, retryAfter: 10 }),
      ],
      'b',
    ],
    [
      'of those that refuse the one to wait for longest',
      [
        outcome('a', { allowed: false, remaining: 0, retryAfter: 10 }),
        outcome('b', { allowed: false, remaining: 3, retryAfter: 20 }),
        outcome('c', { allowed: false, remaining: 0, retryAfter: 15 }),
      ],
      'b',
    ],
    [
      'the first of those to wait for longest',
      [
        outcome('a', { allowed: false, remaining: 0, retryAfter: 20 }),
        outcome('b', { allowed: false, remaining: 0, retryAfter: 20 }),
      ],
      'a',
    ],
    [
      'of those that refuse the one that always will',
      [
        outcome('a', { allowed: false, remaining: 0, retryAfter: 1e12 }),
        outcome('b', { allowed: false, remaining: 3, retryAfter: Infinity }),
      ],
      'b',
    ],
    [
      'slots of concurrent requests only when they alone refuse',
      [outcome('a', { allowed: false, remaining: 0, retryAfter: undefined }), outcome('b', { remaining: 1 })],
      'a',
    ],
    [
      'any other that refuses before slots of concurrent requests, however soon it allows',
      [
        outcome('a', { allowed: false, remaining: 0, retryAfter: undefined }),
        outcome('b', { allowed: false, remaining: 0, retryAfter: 1 }),
      ],
      'b',
    ],
    [
      'the enforced one that refuses, whatever a shadow limit would refuse',
      [
        outcome('a', { mode: 'shadow', allowed: false, remaining: 0, retryAfter: 99 }),
        outcome('b', { allowed: false, remaining: 0, retryAfter: 10 }),
      ],
      'b',
    ],
    [
      'an enforced one, whatever is left of a shadow limit',
      [outcome('a', { mode: 'shadow', allowed: false, remaining: 0 }), outcome('b', { remaining: 3 })],
      'b',
    ],
    [
      'of shadow limits alone the one with the least left',
      [outcome('a', { mode: 'shadow', remaining: 1 }), outcome('b', { mode: 'shadow', remaining: 0 })],
      'b',
    ],
  ])('is %s', (_which, outcomes, name) => {
    const decision = decisionOf(...outcomes);

    expect(decision.binding.limit.name).toBe(name);
    expect(decision.remaining).toBe(decision.binding.remaining);
    expect(decision.resetTime).toBe(decision.binding.resetTime);
    expect(decision.retryAfter).toBe(decision.binding.retryAfter);
  });
});

describe('A decision', () => {
  it('has no wait for a shadow limit', () => {
    const decision = decisionOf(
      outcome('shadow', { mode: 'shadow', allowed: false, remaining: 0, retryAfter: 500 }),
      outcome('enforced', { remaining: 4 }),
    );

    expect(decision).toMatchObject({ allowed: true, retryAfter: 0 });
  });

  it('takes the enforced limits if a shadow limit refuses, and has no receipt of that one', () => {
    const clock = new ManualClock(NOW);
    const storage = new MemoryStorage({ clock });
    const [tight, loose] = [limitOf('tight', { amount: 1, mode: 'shadow' }), limitOf('loose')];
    const hits = [tight, loose].map((limit) => ({ identity: 'user', limit, cost: 1 }));

    const first = new Decision(storage.consume(hits));
    const second = new Decision(storage.consume(hits));

    expect(first.receipts).toEqual([
      { identity: 'user', limit: tight, cost: 1, at: NOW, window: NOW + 60_000 },
      { identity: 'user', limit: loose, cost: 1, at: NOW, window: NOW + 60_000 },
    ]);
    expect(second).toMatchObject({
      allowed: true,
      retryAfter: 0,
      limits: [
        { allowed: false, remaining: 0, retryAfter: 60_000, window: undefined },
        { allowed: true, remaining: 8, retryAfter: 0, window: NOW + 60_000 },
      ],
    });
    expect(second.receipts.map(({ limit }) => limit.name)).toEqual(['loose']);
  });

  it('takes nothing from a shadow limit if an enforced one refuses', () => {
    const storage = new MemoryStorage({ clock: new ManualClock(NOW) });
    const [shadow, full] = [limitOf('shadow', { mode: 'shadow' }), limitOf('full', { amount: 0 })];
    const hits = [shadow, full].map((limit) => ({ identity: 'user', limit, cost: 1 }));

    const decision = new Decision(storage.consume(hits));

    expect(decision).toMatchObject({ allowed: false, receipts: [], retryAfter: Infinity });
    expect(decision.limits.map(({ allowed, remaining }) => [allowed, remaining])).toEqual([
      [true, 10],
      [false, 0],
    ]);
  });

  it('has a receipt of each limit that was taken, with its window', async () => {
    const clock = new ManualClock(NOW);
    const limiter = new FixedWindowRateLimiter(new MemoryStorage({ clock }));
    await limiter.hit('5/minute', 'a');
    clock.advance(1000);

    const { receipts, now } = await limiter.consume('5/minute; 9/hour', ['a'], { cost: 2 });

    expect(now).toBe(NOW + 1000);
    expect(
      receipts.map(({ limit, identity, cost, at, window }) => [limit.name, identity, cost, at, window]),
    ).toEqual([
      ['5 per 1 minute', 'LIMITER/a', 2, NOW + 1000, NOW + 60_000],
      ['9 per 1 hour', 'LIMITER/a', 2, NOW + 1000, NOW + 3_601_000],
    ]);
  });

  it('is JSON with null for an infinite wait', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage({ clock: new ManualClock(NOW) }));
    const decision = await limiter.consume('1/minute', ['a'], { cost: 2 });

    expect(JSON.parse(JSON.stringify(decision))).toMatchObject({
      allowed: false,
      now: NOW,
      limits: [
        { identity: 'LIMITER/a', cost: 2, allowed: false, remaining: 1, resetTime: NOW, retryAfter: null },
      ],
    });
  });
});

describe('The replacement for a store that failed', () => {
  const of = (degraded?: 'allow' | 'fallback', earlier?: Decision): Decision =>
    new Decision(
      { allowed: true, now: NOW, outcomes: [outcome('a')], ...(degraded === undefined ? {} : { degraded }) },
      earlier,
    );

  it.each([undefined, 'allow', 'fallback'] as const)('is reported: %p', (degraded) => {
    expect(of(degraded).degraded).toBe(degraded);
  });

  it.each([
    [undefined, undefined, undefined],
    ['allow', undefined, 'allow'],
    [undefined, 'fallback', 'fallback'],
    ['allow', 'fallback', 'fallback'],
  ] as const)('is reported for two merged decisions: %p and then %p is %p', (first, second, told) => {
    expect(of(second, of(first)).degraded).toBe(told);
  });
});

describe('A decision that is shown', () => {
  it('has one line, and one for each limit', () => {
    const limit = limitOf('slow', { where: '@RateLimit on LoginController.login' });
    const refusal = { allowed: false, remaining: 0, retryAfter: 42_000 };
    const decision = decisionOf(
      outcome('fast', { remaining: 3 }),
      outcome('slow', { limit, ...refusal }),
      outcome('tried', { mode: 'shadow', allowed: false }),
    );
    expect(inspect(decision)).toBe(
      [
        'Decision: refused, retry after 42000 ms',
        '  fast: 10 per 60000 ms for user, 3 left, allows',
        '  slow: 10 per 60000 ms for user, 0 left, refuses (@RateLimit on LoginController.login)',
        '  tried: 10 per 60000 ms for user, 5 left, shadow, refuses',
      ].join('\n'),
    );
  });

  it('has slots of concurrent requests, which are released at an unknown time', () => {
    const limit = limitOf('exports', { strategy: 'concurrency', amount: 2 });
    const decision = decisionOf(
      outcome('exports', { limit, allowed: false, remaining: 0, retryAfter: undefined }),
    );
    expect(inspect(decision)).toBe(
      'Decision: refused, retry after a slot is released\n  exports: 2 concurrent for user, 0 left, refuses',
    );
  });

  it('names the route, and how it was decided without the store', () => {
    const result = { allowed: true, now: NOW, outcomes: [outcome('a')], degraded: 'fallback' } as const;
    expect(inspect(new Decision(result, undefined, 'POST /login'))).toBe(
      'Decision: allowed on POST /login (fallback)\n  a: 10 per 60000 ms for user, 5 left, allows',
    );
  });
});
