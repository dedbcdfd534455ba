import { describe, expect, it } from '@jest/globals';
import { createLimit, Decision, type CreateLimitOptions, type Outcome } from 'nestjs-limits';
import { legacyFields, retryAfterFields, standardFields } from '../../../lib/http/header-fields.js';

const now = 1_704_067_200_000;

interface Answer extends Partial<CreateLimitOptions> {
  allowed?: boolean;
  remaining?: number;
  /** ms from now */
  reset?: number;
  retryAfter?: number;
}

function outcome({
  allowed = true,
  remaining = 4,
  reset = 60_000,
  retryAfter = 0,
  ...limit
}: Answer): Outcome {
  return {
    identity: 'ip:203.0.113.7',
    limit: createLimit({ id: 'default', strategy: 'fixed-window', amount: 5, period: 60_000, ...limit }),
    cost: 1,
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
  it('say of a limit its quota and window, and what remains for how long', () => {
    expect(standardFields(decision({}))).toEqual([
      ['RateLimit-Policy', '"default";q=5;w=60'],
      ['RateLimit', '"default";r=4;t=60'],
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

  it('show the amount of a token bucket as its quota, and its burst in what remains', () => {
    const fields = standardFields(
      decision({ strategy: 'token-bucket', amount: 60, burst: 100, remaining: 99, reset: 1000 }),
    );
    expect(fields).toEqual([
      ['RateLimit-Policy', '"default";q=60;w=60'],
      ['RateLimit', '"default";r=99;t=1'],
    ]);
  });

  it('hold no integer longer than the 15 digits of RFC 9651', () => {
    const amount = Number.MAX_SAFE_INTEGER;
    expect(standardFields(decision({ amount, remaining: amount - 1 }))).toEqual([
      ['RateLimit-Policy', '"default";q=999999999999999;w=60'],
      ['RateLimit', '"default";r=999999999999999;t=60'],
    ]);
  });

  it('say nothing of limits that are only tried', () => {
    const tried: Answer = { id: 'tried', mode: 'shadow', allowed: false, remaining: 0 };
    expect(standardFields(decision(tried, {}))).toEqual([
      ['RateLimit-Policy', '"default";q=5;w=60'],
      ['RateLimit', '"default";r=4;t=60'],
    ]);
    expect(standardFields(decision(tried))).toEqual([]);
  });

  it('show no time where waiting would not help', () => {
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
  it('say of the binding limit its amount, what remains and the seconds until more does', () => {
    expect(
      legacyFields(decision({ remaining: 3, reset: 1 }, { id: 'tight', amount: 2, remaining: 1 })),
    ).toEqual([
      ['X-RateLimit-Limit', '2'],
      ['X-RateLimit-Remaining', '1'],
      ['X-RateLimit-Reset', '60'],
    ]);
  });

  it('say it of the limit that refused, whatever remains of the others', () => {
    const refused = { id: 'refused', amount: 9, remaining: 2, allowed: false, retryAfter: 1500, reset: 700 };
    expect(legacyFields(decision({ remaining: 0 }, refused))).toEqual([
      ['X-RateLimit-Limit', '9'],
      ['X-RateLimit-Remaining', '2'],
      ['X-RateLimit-Reset', '1'],
    ]);
  });
});

describe('Where all limits are only tried', () => {
  const tried: Answer = { id: 'tried', mode: 'shadow', allowed: false, remaining: 0, retryAfter: 60_000 };

  it.each([
    ['RateLimit', standardFields],
    ['X-RateLimit-*', legacyFields],
    ['Retry-After', retryAfterFields],
  ])('clients are told nothing of them by %s', (_fields, fieldsOf) => {
    const result = { allowed: true, now, outcomes: [outcome(tried), outcome({ ...tried, id: 'other' })] };
    expect(fieldsOf(new Decision(result))).toEqual([]);
  });

  it('and some are not, those are what X-RateLimit-* and Retry-After tell of', () => {
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
  ])('says %d ms in whole seconds, never too few: %s', (retryAfter, seconds) => {
    expect(retryAfterFields(decision({ allowed: false, retryAfter }))).toEqual([['Retry-After', seconds]]);
  });

  it('says the longest wait of those that refused', () => {
    const fields = retryAfterFields(
      decision({ allowed: false, retryAfter: 9000 }, { allowed: false, retryAfter: 30_000 }, { id: 'fine' }),
    );
    expect(fields).toEqual([['Retry-After', '30']]);
  });

  it('is left out of what was allowed', () => {
    expect(retryAfterFields(decision({}))).toEqual([]);
  });

  it('is left out where no wait would help', () => {
    expect(retryAfterFields(decision({ allowed: false, retryAfter: Infinity }))).toEqual([]);
    expect(
      retryAfterFields(
        decision({ allowed: false, retryAfter: 1000 }, { allowed: false, retryAfter: Infinity }),
      ),
    ).toEqual([]);
  });
});

describe('What no field may hold', () => {
  it.each([
    ['a"b', String.raw`"a\"b"`],
    ['a\\', String.raw`"a\\"`],
    ['a\r\nSet-Cookie: b', '"a??Set-Cookie: b"'],
    ['\u00e9\u2028🚀\u007f', '"????"'],
  ])('is escaped or replaced in a name: %j', (name, quoted) => {
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
  ])('is made a number that is whole: %d is %d', (remaining, whole) => {
    const decision = new Decision({ allowed: true, now, outcomes: [outcome({ remaining, reset: -1 })] });
    expect(standardFields(decision)[1]).toEqual(['RateLimit', `"default";r=${whole};t=0`]);
    expect(legacyFields(decision)).toEqual([
      ['X-RateLimit-Limit', '5'],
      ['X-RateLimit-Remaining', String(whole)],
      ['X-RateLimit-Reset', '0'],
    ]);
  });
});
