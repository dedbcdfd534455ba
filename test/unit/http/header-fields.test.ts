import { describe, expect, it } from '@jest/globals';
import { createLimit, Decision, loadTemporal, type CreateLimitOptions, type Outcome } from 'nestjs-limits';
import { legacyFields, retryAfterFields, standardFields } from '../../../lib/http/header-fields.js';

const now = 1_704_067_200_000;

interface Answer extends Partial<CreateLimitOptions> {
  allowed?: boolean;
  remaining?: number;
  /** ms from now */
  reset?: number;
  retryAfter?: number | undefined;
  cost?: number;
}

function outcome({ allowed = true, remaining = 4, reset = 60_000, cost = 1, ...answer }: Answer): Outcome {
  const { retryAfter, ...limit } = { retryAfter: 0, ...answer };
  return {
    identity: 'ip:203.0.113.7',
    limit: createLimit({ id: 'default', strategy: 'fixed-window', amount: 5, period: 60_000, ...limit }),
    cost,
    allowed,
    remaining,
    resetTime: now + reset,
    retryAfter,
    taken: allowed,
    window: undefined,
  };
}

function decision(...answers: Answer[]): Decision {
  const outcomes = answers.map(outcome);
  return new Decision({ allowed: outcomes.every(({ allowed }) => allowed), now, outcomes });
}

describe('RateLimit-Policy and RateLimit', () => {
  it('contain the quota and window of a limit, the remaining units and the reset', () => {
    expect(standardFields(decision({}))).toEqual([
      ['RateLimit-Policy', '"default";q=5;w=60'],
      ['RateLimit', '"default";r=4;t=60'],
    ]);
  });

  it('contain the unit of concurrent requests, and no time', () => {
    const slots = { strategy: 'concurrency', period: 30_000, reset: 0 } as const;
    for (const refusal of [
      {},
      { allowed: false, remaining: 0, retryAfter: undefined },
      { retryAfter: Infinity },
    ])
      expect(standardFields(decision({ ...slots, remaining: 2, ...refusal }))).toEqual([
        ['RateLimit-Policy', '"default";q=5;qu="concurrent-requests"'],
        ['RateLimit', `"default";r=${'remaining' in refusal ? 0 : 2}`],
      ]);
  });

  it('list several limits in the order of the decision', () => {
    const fields = standardFields(
      decision(
        { id: 'a/minute', remaining: 3 },
        { id: 'a/hour', amount: 100, period: 3_600_000, remaining: 99, reset: 3_600_000 },
        { id: 'b', amount: 0, remaining: 0, allowed: false, reset: 0, retryAfter: 1 },
      ),
    );
    expect(fields).toEqual([
      ['RateLimit-Policy', '"a/minute";q=5;w=60, "a/hour";q=100;w=3600, "b";q=0;w=60'],
      ['RateLimit', '"a/minute";r=3;t=60, "a/hour";r=99;t=3600, "b";r=0;t=0'],
    ]);
  });

  it.each([
    [0, 0],
    [1, 1],
    [999, 1],
    [1000, 1],
    [1001, 2],
    [59_001, 60],
  ])('round %d ms up to %d s', (milliseconds, seconds) => {
    const [, [, value] = []] = standardFields(decision({ reset: milliseconds }));
    expect(value).toBe(`"default";r=4;t=${seconds}`);
  });

  it.each([
    [1, 1],
    [250, 1],
    [1500, 2],
    [31_104_000_000, 31_104_000],
  ])('show a window of %d ms as one of %d s', (period, seconds) => {
    const [[, value] = []] = standardFields(decision({ period }));
    expect(value).toBe(`"default";q=5;w=${seconds}`);
  });

  it('show the window of a calendar with its current length', async () => {
    await loadTemporal();
    const calendar = { unit: 'month', timeZone: 'UTC' } as const;
    const period = 30 * 86_400_000;
    const month = decision({ strategy: 'calendar-window', calendar, period, reset: 1000 }, { id: 'other' });
    expect(standardFields(month)).toEqual([
      ['RateLimit-Policy', '"default";q=5;w=2678400, "other";q=5;w=60'],
      ['RateLimit', '"default";r=4;t=1, "other";r=4;t=60'],
    ]);
  });

  it('show the amount of a token bucket as its quota, and its burst in what remains', () => {
    const fields = standardFields(
      decision({ strategy: 'token-bucket', amount: 60, burst: 100, remaining: 99, reset: 1000 }),
    );
    expect(fields).toEqual([
      ['RateLimit-Policy', '"default";q=60;w=60'],
      ['RateLimit', '"default";r=99;t=1'],
    ]);
  });

  it('have no integer longer than the 15 digits of RFC 9651', () => {
    const amount = Number.MAX_SAFE_INTEGER;
    expect(standardFields(decision({ amount, remaining: amount - 1 }))).toEqual([
      ['RateLimit-Policy', '"default";q=999999999999999;w=60'],
      ['RateLimit', '"default";r=999999999999999;t=60'],
    ]);
  });

  it('omit shadow limits', () => {
    const tried: Answer = { id: 'tried', mode: 'shadow', allowed: false, remaining: 0 };
    expect(standardFields(decision(tried, {}))).toEqual([
      ['RateLimit-Policy', '"default";q=5;w=60'],
      ['RateLimit', '"default";r=4;t=60'],
    ]);
    expect(standardFields(decision(tried))).toEqual([]);
  });

  it('omit the time if waiting would not help', () => {
    const fields = standardFields(
      decision({ id: 'cost', allowed: false, remaining: 4, retryAfter: Infinity }, { id: 'other' }),
    );
    expect(fields).toEqual([
      ['RateLimit-Policy', '"cost";q=5;w=60, "other";q=5;w=60'],
      ['RateLimit', '"cost";r=4, "other";r=4;t=60'],
    ]);
  });
});

describe('X-RateLimit-*', () => {
  it('contain the amount of the binding limit, the remaining units and the seconds until these grow', () => {
    expect(
      legacyFields(decision({ remaining: 3, reset: 1 }, { id: 'tight', amount: 2, remaining: 1 })),
    ).toEqual([
      ['X-RateLimit-Limit', '2'],
      ['X-RateLimit-Remaining', '1'],
      ['X-RateLimit-Reset', '60'],
    ]);
  });

  it('describe the limit that refused, whatever the others have left', () => {
    const refused = { id: 'refused', amount: 9, remaining: 2, allowed: false, retryAfter: 1500, reset: 700 };
    expect(legacyFields(decision({ remaining: 0 }, refused))).toEqual([
      ['X-RateLimit-Limit', '9'],
      ['X-RateLimit-Remaining', '2'],
      ['X-RateLimit-Reset', '1'],
    ]);
  });
});

describe('The limit that X-RateLimit-* describe', () => {
  const request: Answer = { id: 'requests', amount: 9, remaining: 4 };
  const tokens: Answer = { id: 'tokens', name: 'tokens/day', policy: 'tokens', amount: 100, remaining: 50 };
  const free: Answer = { id: 'free', amount: 7, remaining: 0, cost: 0 };
  const shown = (answers: Answer[], options = {}): string | undefined =>
    legacyFields(decision(...answers), options)[0]?.[1];

  it('is the one with the least left of those that the request takes from', () => {
    expect(shown([request, tokens, free])).toBe('9');
    expect(shown([{ ...request, remaining: 60 }, tokens, free])).toBe('100');
  });

  it('is the one that refused, and the scarcest of all where the request takes from none', () => {
    expect(shown([request, { ...tokens, allowed: false, retryAfter: 1 }])).toBe('100');
    expect(shown([{ ...request, cost: 0 }, free])).toBe('7');
  });

  it('is the one to show, by its name or that of its policy, or none', () => {
    for (const show of ['tokens', 'tokens/day']) expect(shown([request, tokens], { show })).toBe('100');
    expect(shown([request, tokens, free], { show: 'free' })).toBe('7');
    expect(legacyFields(decision(request), { show: 'tokens' })).toEqual([]);
    expect(legacyFields(decision({ ...tokens, mode: 'shadow' }), { show: 'tokens' })).toEqual([]);
  });

  it('is each of them with a suffix, and none for the limit "default"', () => {
    const fields = legacyFields(
      decision({}, tokens, { ...free, name: 'a"ü b' }, { id: 'tried', mode: 'shadow' }),
      { perLimit: true },
    );
    expect(fields).toEqual([
      ['X-RateLimit-Limit', '5'],
      ['X-RateLimit-Remaining', '4'],
      ['X-RateLimit-Reset', '60'],
      ['X-RateLimit-Limit-tokens-day', '100'],
      ['X-RateLimit-Remaining-tokens-day', '50'],
      ['X-RateLimit-Reset-tokens-day', '60'],
      ['X-RateLimit-Limit-a---b', '7'],
      ['X-RateLimit-Remaining-a---b', '0'],
      ['X-RateLimit-Reset-a---b', '60'],
    ]);
  });
});

describe('X-RateLimit-Reset', () => {
  it.each([
    ['seconds', 1, '1'],
    ['seconds', 60_000, '60'],
    ['epoch', 0, '1704067200'],
    ['epoch', 1, '1704067201'],
    ['iso', 60_001, '2024-01-01T00:01:00.001Z'],
    ['iso', 2 ** 53 - 1 - now, '+275760-09-13T00:00:00.000Z'],
  ] as const)('in the form %p, %d ms from now is %s', (reset, ms, value) => {
    expect(legacyFields(decision({ reset: ms }), { reset })[2]).toEqual(['X-RateLimit-Reset', value]);
  });
});

describe('With shadow limits only', () => {
  const tried: Answer = { id: 'tried', mode: 'shadow', allowed: false, remaining: 0, retryAfter: 60_000 };

  it.each([
    ['RateLimit', standardFields],
    ['X-RateLimit-*', (decided: Decision) => legacyFields(decided)],
    ['X-RateLimit-* per limit', (decided: Decision) => legacyFields(decided, { perLimit: true })],
    ['Retry-After', (decided: Decision) => retryAfterFields(decided)],
    ['Retry-After per limit', (decided: Decision) => retryAfterFields(decided, true)],
  ])('clients get no field by %s', (_fields, fieldsOf) => {
    const result = { allowed: true, now, outcomes: [outcome(tried), outcome({ ...tried, id: 'other' })] };
    expect(fieldsOf(new Decision(result))).toEqual([]);
  });

  it('and with others, X-RateLimit-* and Retry-After describe the others', () => {
    const refused: Answer = { id: 'refused', allowed: false, remaining: 0, reset: 7000, retryAfter: 7000 };
    const decided = decision(tried, refused);
    expect(legacyFields(decided)).toEqual([
      ['X-RateLimit-Limit', '5'],
      ['X-RateLimit-Remaining', '0'],
      ['X-RateLimit-Reset', '7'],
    ]);
    expect(retryAfterFields(decided)).toEqual([['Retry-After', '7']]);
  });
});

describe('Retry-After', () => {
  it.each([
    [1, '1'],
    [1000, '1'],
    [1001, '2'],
    [3_600_000, '3600'],
  ])('rounds %d ms up to whole seconds: %s', (retryAfter, seconds) => {
    expect(retryAfterFields(decision({ allowed: false, retryAfter }))).toEqual([['Retry-After', seconds]]);
  });

  it('is the longest wait of the limits that refused', () => {
    const fields = retryAfterFields(
      decision({ allowed: false, retryAfter: 9000 }, { allowed: false, retryAfter: 30_000 }, { id: 'fine' }),
    );
    expect(fields).toEqual([['Retry-After', '30']]);
  });

  it('is also sent for each limit that refused, with its name, if there are fields per limit', () => {
    const decided = decision(
      { allowed: false, retryAfter: 9000 },
      { id: 'a', name: 'a/b', allowed: false, retryAfter: 30_000 },
      { id: 'never', name: 'never', allowed: false, retryAfter: undefined },
      { id: 'fine', name: 'fine' },
    );
    expect(retryAfterFields(decided, true)).toEqual([
      ['Retry-After', '30'],
      ['Retry-After-a-b', '30'],
    ]);
  });

  it('is omitted if the hit was allowed', () => {
    expect(retryAfterFields(decision({}))).toEqual([]);
  });

  it('is omitted if no wait would help', () => {
    expect(retryAfterFields(decision({ allowed: false, retryAfter: Infinity }))).toEqual([]);
    expect(
      retryAfterFields(
        decision({ allowed: false, retryAfter: 1000 }, { allowed: false, retryAfter: Infinity }),
      ),
    ).toEqual([]);
  });
});

describe('Invalid characters and numbers in a field', () => {
  it.each([
    ['a"b', String.raw`"a\"b"`],
    ['a\\', String.raw`"a\\"`],
    ['a\r\nSet-Cookie: b', '"a??Set-Cookie: b"'],
    ['\u00e9\u2028🚀\u007f', '"????"'],
  ])('are escaped or replaced in a name: %j', (name, quoted) => {
    const result = { allowed: true, now, outcomes: [outcome({ name })] };
    expect(standardFields(new Decision(result))).toEqual([
      ['RateLimit-Policy', `${quoted};q=5;w=60`],
      ['RateLimit', `${quoted};r=4;t=60`],
    ]);
  });

  it.each([
    [Infinity, 999_999_999_999_999],
    [1e21, 999_999_999_999_999],
    [2 ** 53 - 1, 999_999_999_999_999],
    [0.5, 0],
    [-1, 0],
    [NaN, 0],
  ])('are replaced by a whole number: %d is %d', (remaining, whole) => {
    const decision = new Decision({ allowed: true, now, outcomes: [outcome({ remaining, reset: -1 })] });
    expect(standardFields(decision)[1]).toEqual(['RateLimit', `"default";r=${whole};t=0`]);
    expect(legacyFields(decision)).toEqual([
      ['X-RateLimit-Limit', '5'],
      ['X-RateLimit-Remaining', String(whole)],
      ['X-RateLimit-Reset', '0'],
    ]);
  });
});

describe('The other fields', () => {
  const slots = { id: 'slots', strategy: 'concurrency', period: 30_000, reset: 0 } as const;

  it('skip slots of concurrent requests', () => {
    const refused = { ...slots, allowed: false, remaining: 0, retryAfter: undefined };
    expect(legacyFields(decision({ remaining: 3 }, refused))).toEqual([
      ['X-RateLimit-Limit', '5'],
      ['X-RateLimit-Remaining', '3'],
      ['X-RateLimit-Reset', '60'],
    ]);
    expect(legacyFields(decision(refused))).toEqual([]);
    expect(legacyFields(decision({ remaining: 3 }, refused), { perLimit: true })).toEqual([
      ['X-RateLimit-Limit', '5'],
      ['X-RateLimit-Remaining', '3'],
      ['X-RateLimit-Reset', '60'],
    ]);
    expect(retryAfterFields(decision({ remaining: 3 }, refused))).toEqual([]);
  });

  it('show slots of concurrent requests if their limit is named', () => {
    expect(legacyFields(decision({ remaining: 3 }, { ...slots, remaining: 2 }), { show: 'slots' })).toEqual([
      ['X-RateLimit-Limit', '5'],
      ['X-RateLimit-Remaining', '2'],
      ['X-RateLimit-Reset', '0'],
    ]);
  });

  it('show the rate of a policy that is named, not its slots', () => {
    const rate = { name: 'login/minute', policy: 'login', remaining: 3 };
    const held = { ...slots, name: 'login/concurrent', policy: 'login', remaining: 0 };
    const remaining = (show: string): unknown => legacyFields(decision(rate, held), { show })[1];
    expect(remaining('login')).toEqual(['X-RateLimit-Remaining', '3']);
    expect(remaining('login/concurrent')).toEqual(['X-RateLimit-Remaining', '0']);
  });

  it('have the time of a rate that refuses beside them', () => {
    const answers = [
      { ...slots, allowed: false, remaining: 0, retryAfter: undefined },
      { allowed: false, remaining: 0, retryAfter: 1500 },
    ];
    expect(retryAfterFields(decision(...answers))).toEqual([['Retry-After', '2']]);
  });
});
