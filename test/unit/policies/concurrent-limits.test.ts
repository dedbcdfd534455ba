import { describe, expect, it } from '@jest/globals';
import { parseMany, RateLimitItemConcurrent, type Limit, type PolicyDeclaration } from 'nestjs-limits';
import { compilePolicies } from '../../../lib/policies/compile-policies.js';
import type { Policy } from '../../../lib/policies/policy.js';

type Declaration = PolicyDeclaration<string>;

function compile(declaration: Declaration): Policy<string, Declaration['key']> {
  const [policy] = compilePolicies({
    levels: [{ where: '@RateLimit on A.a', scope: 'route', declarations: [declaration], skips: [] }],
    scopes: { route: 'http GET /a', controller: 'http GET /' },
    defaultStrategy: 'token-bucket',
    assertSupported: () => undefined,
  });
  return policy as Policy<string, Declaration['key']>;
}

const shown = (limits: readonly Limit[] = []): unknown[] =>
  limits.map(({ id, name, strategy, amount, period, burst }) => ({
    id,
    name,
    strategy,
    amount,
    period,
    burst,
  }));

const SLOTS = {
  id: 'default@route http GET /a:concurrency',
  name: 'default',
  strategy: 'concurrency',
  amount: 5,
  period: 30_000,
  burst: 5,
};

describe('A limit of concurrent requests', () => {
  it('ignores the strategy of the module, and is held for 30 seconds', () => {
    expect(shown(compile({ limits: '5 concurrent' }).limits)).toEqual([SLOTS]);
  });

  it('has one count, whatever its hold', () => {
    const { limits } = compile({ limits: new RateLimitItemConcurrent(5), hold: '2 minutes' });
    expect(shown(limits)).toEqual([{ ...SLOTS, period: 120_000 }]);
  });

  it('is named after its policy, beside rates', () => {
    const { limits } = compile({ limits: parseMany('100/minute; 5 concurrent'), mode: 'shadow' });
    expect(limits.map(({ name, mode }) => [name, mode])).toEqual([
      ['default/minute', 'shadow'],
      ['default/concurrent', 'shadow'],
    ]);
  });

  it('has neither burst nor block nor outcome, which belong to the rate beside it', () => {
    const { limits } = compile({
      limits: '9/minute; 5 concurrent',
      burst: 20,
      block: '1 hour',
      count: 'failure',
      hold: '1 minute',
    });
    expect(limits.map(({ burst, block, refundable }) => [burst, block, refundable])).toEqual([
      [20, [3_600_000], true],
      [5, [], false],
    ]);
  });

  it('stands in plans, of which the strictest by rates holds for others, or by slots where there are no rates', () => {
    const ofRates = compile({ plans: { free: '10/minute', pro: '100/minute; 1 concurrent' } });
    expect(ofRates.limits.map(({ amount }) => amount)).toEqual([10]);
    expect(ofRates.plans?.get('pro')?.map(({ amount }) => amount)).toEqual([100, 1]);
    const ofSlots = compile({ plans: { pro: '9 concurrent', free: '2 concurrent', internal: 'unlimited' } });
    expect(ofSlots.limits.map(({ amount }) => amount)).toEqual([2]);
    expect(new Set([...(ofSlots.plans?.values() ?? [])].flat().map(({ id }) => id)).size).toBe(1);
  });

  it('may be returned by a function, with a hold', async () => {
    const policy = compile({ limits: () => '3 concurrent', hold: '1 minute', count: 'failure' });
    expect(shown([...((await policy.limitsFor?.('')) ?? [])])).toEqual([
      { ...SLOTS, amount: 3, burst: 3, period: 60_000 },
    ]);
  });
});
