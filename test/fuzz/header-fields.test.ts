import { describe, expect } from '@jest/globals';
import fc from 'fast-check';
import { createLimit, MemoryStorage, type Limit } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import {
  legacyFields,
  retryAfterFields,
  standardFields,
  type HeaderField,
} from '../../lib/http/header-fields.js';
import { Decision } from '../../lib/core/decision.js';
import { RateLimitExceededException } from '../../lib/nest/transports/rate-limit-exceeded.exception.js';
import { assertName } from '../../lib/policies/policy-options.js';
import type { BatchResult, Outcome } from '../../lib/core/contract.js';
import { strategyNames } from '../../lib/strategies/strategies.js';
import { anything, anyText, fuzz, refusalOf } from './fuzz.js';

/** A member of a list of RFC 9651: a String with parameters that are Integers. */
interface Member {
  readonly name: string;
  readonly parameters: ReadonlyMap<string, number>;
}

/**
 * Parses a List of Strings with Integer parameters, and the unit of a quota, by RFC 9651, section 4.2. Throws on anything
 * else.
 */
function readList(value: string): Member[] {
  const left = { text: value };
  const take = (pattern: RegExp): string => {
    const found = pattern.exec(left.text);
    if (found === null)
      throw new Error(`Not a structured field: ${JSON.stringify(value)}, from ${JSON.stringify(left.text)}`);
    left.text = left.text.slice(found[0].length);
    return found[1] ?? '';
  };
  const members: Member[] = [];
  do {
    if (members.length > 0) take(/^[ \t]*,[ \t]*/);
    const name = take(/^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"/).replace(/\\(.)/g, '$1');
    const parameters = new Map<string, number>();
    while (left.text.startsWith(';')) {
      const key = take(/^; *([a-z*][a-z0-9_.*-]*)/);
      // The only String: the unit of a quota.
      const value = key === 'qu' ? take(/^="concurrent-requests"/) : take(/^=(-?[0-9]{1,15})(?![0-9.])/);
      parameters.set(key, Number(value));
    }
    members.push({ name, parameters });
  } while (left.text !== '');
  return members;
}

function expectFieldsOf(decision: Decision): void {
  const enforced = decision.limits.filter(({ limit }) => limit.mode === 'enforce');
  const fields = new Map(standardFields(decision));
  expect([...fields.keys()]).toEqual(enforced.length === 0 ? [] : ['RateLimit-Policy', 'RateLimit']);
  for (const [field, keys] of [
    ['RateLimit-Policy', ['q', 'w', 'qu']],
    ['RateLimit', ['r', 't']],
  ] as const) {
    const members = enforced.length === 0 ? [] : readList(fields.get(field) ?? '');
    expect(members).toHaveLength(enforced.length);
    for (const { parameters } of members) {
      expect(keys).toEqual(expect.arrayContaining([...parameters.keys()]));
      expect([...parameters.values()].every((value) => value >= 0)).toBe(true);
    }
  }
  for (const [name, value] of legacyFields(decision, { perLimit: true, reset: 'iso' })) {
    expect(name).toMatch(/^[\w.-]+$/);
    expect(value).toMatch(/^[0-9]{1,16}$|^[+-]?[0-9]{4,6}-[0-9T:.-]+Z$/);
  }
  for (const [name, value] of [...legacyFields(decision), ...retryAfterFields(decision)] as HeaderField[]) {
    expect(name).toMatch(/^[A-Za-z-]+$/);
    expect(value).toMatch(/^[0-9]{1,15}$/);
  }
}

const names = fc.oneof(
  anyText,
  fc.constantFrom('a"b', 'a\\', 'a\r\nSet-Cookie: b=1', 'a, "b";q=1', '\u00e9', '\u2028', ''),
);

const numbers = fc.oneof(
  fc.constantFrom(
    0,
    -0,
    1,
    -1,
    0.5,
    999,
    1000,
    1001,
    1e15 - 1,
    1e15,
    1e21,
    2 ** 53 - 1,
    2 ** 53,
    5e-324,
    1.8e308,
    Infinity,
    -Infinity,
    NaN,
  ),
  fc.double(),
  fc.integer(),
  fc.maxSafeNat(),
);
const nat = fc.oneof(fc.constantFrom(0, 1, 5, 1000, 2 ** 53 - 1, 1e15 - 1, 1e15), fc.maxSafeNat());

const limits: fc.Arbitrary<Limit | undefined> = fc
  .record({
    name: names,
    strategy: fc.constantFrom(...strategyNames),
    amount: nat,
    period: nat,
    burst: fc.option(nat, { nil: undefined }),
    mode: fc.constantFrom('enforce' as const, 'enforce' as const, 'shadow' as const),
    block: fc.array(nat, { maxLength: 2 }),
  })
  .map((options) => {
    try {
      return createLimit({ ...options, id: options.strategy });
    } catch {
      return undefined;
    }
  });
const limitsOnly = limits.filter((limit) => limit !== undefined);

describe('Header fields', () => {
  fuzz(
    'are structured fields, and numbers that are whole, for outcomes of any numbers and names',
    fc.tuple(
      fc.array(
        fc.record({
          allowed: fc.boolean(),
          limit: limitsOnly,
          remaining: numbers,
          resetTime: numbers,
          retryAfter: numbers,
        }),
        { minLength: 1, maxLength: 3 },
      ),
      numbers,
      fc.boolean(),
    ),
    ([outcomes, now, allowed]) => {
      const result = { allowed, now, outcomes: outcomes as unknown as Outcome[] } as BatchResult;
      expectFieldsOf(new Decision(result));
    },
  );

  fuzz(
    'are so for what storages decide of any limit and cost',
    fc.tuple(
      fc.array(limitsOnly, { minLength: 1, maxLength: 3 }),
      fc.array(fc.tuple(nat, nat), { minLength: 1, maxLength: 4 }),
      fc.constantFrom(0, 1_700_000_000_000),
    ),
    ([given, hits, start]) => {
      const clock = new ManualClock(start);
      const storage = new MemoryStorage({ clock });
      for (const [cost, wait] of hits) {
        const batch = given.map((limit, index) => ({ identity: `identity ${index}`, limit, cost }));
        const decision = new Decision(storage.consume(batch));
        expectFieldsOf(decision);
        const { body } = new RateLimitExceededException(decision);
        expect(body.retryAfter === null || Number.isInteger(body.retryAfter)).toBe(true);
        clock.advance(wait % 1e12);
      }
      storage.close();
    },
  );

  fuzz(
    'hold names of policies as they are',
    fc.oneof(names, anything, fc.stringMatching(/^[A-Za-z][\w.-]{0,120}$/)),
    (name) => {
      if (refusalOf(() => assertName('name of a policy', name)) !== undefined) return;
      const limit = createLimit({
        id: 'id',
        name: name as string,
        strategy: 'fixed-window',
        amount: 1,
        period: 1000,
      });
      const storage = new MemoryStorage();
      const [policy = ['', '']] = standardFields(
        new Decision(storage.consume([{ identity: 'a', limit, cost: 1 }])),
      );
      expect(policy).toEqual(['RateLimit-Policy', `"${String(name)}";q=1;w=1`]);
      expect(policy[1].length).toBeLessThan(120);
      storage.close();
    },
  );
});
