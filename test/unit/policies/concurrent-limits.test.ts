import { describe, expect, it } from '@jest/globals';
import { parseMany, RateLimitItemConcurrent, type Limit, type PolicyDeclaration } from 'nestjs-limits';
import type { BlockOption } from '../../../lib/policies/block-option.js';
import { compilePolicies } from '../../../lib/policies/compile-policies.js';
import type { Policy } from '../../../lib/policies/policy.js';

type Declaration = PolicyDeclaration<string>;

function compile(declaration: Declaration, defaultBlock?: BlockOption): Policy<string, Declaration['key']> {
  const [policy] = compilePolicies({
    levels: [{ where: '@RateLimit on A.a', scope: 'route', declarations: [declaration], skips: [] }],
    scopes: { route: 'http GET /a', controller: 'http GET /' },
    defaultStrategy: 'token-bucket',
    defaultBlock,
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

  it('may be given in a list, or with options that apply to the rate next to it', async () => {
    const policy = compile({
      limits: () => ({ limits: ['9/minute', '3 concurrent'], burst: 20, block: '1 hour' }),
      plans: { pro: { limits: ['20/minute', '5 concurrent'], burst: 30 }, internal: 'unlimited' },
    });
    const optionsOf = (limits: readonly Limit[] = []): unknown[] =>
      limits.map(({ amount, burst, block }) => [amount, burst, block]);
    expect(optionsOf(await policy.limitsFor?.(''))).toEqual([
      [9, 20, [3_600_000]],
      [3, 3, []],
    ]);
    expect(optionsOf(policy.plans?.get('pro'))).toEqual([
      [20, 30, []],
      [5, 5, []],
    ]);
  });

  it.each<[string, Declaration]>([
    ['burst', { plans: { pro: { limits: '5 concurrent', burst: 9 }, free: '1/minute' } }],
    ['block', { plans: { pro: { limits: ['5 concurrent'], block: '1 hour' }, free: '1/minute' } }],
    ['block', { limits: '5 concurrent', block: { after: 3, for: '1 hour' } }],
    ['block', { limits: '5 concurrent', block: 'window' }],
    ['count', { limits: '5 concurrent', count: 'failure' }],
    ['actualCost', { limits: '5 concurrent', actualCost: () => 1 }],
  ])('rejects the option "%s" without a rate: %j', (option, declaration) => {
    expect(() => compile(declaration)).toThrow(
      `The option "${option}" does not apply to concurrent requests, whose slots are held until the work is over. Remove it.`,
    );
  });

  it('is written in the notation: it is no strategy of rates', () => {
    expect(() => compile({ limits: '5/minute', strategy: 'concurrency' as never })).toThrow(
      '@RateLimit on A.a: The strategy "concurrency" is not for rates. Limit concurrent requests by the notation: "5 concurrent".',
    );
  });

  it('stands once in a policy', () => {
    expect(() => compile({ limits: '5 concurrent; 9 concurrent' })).toThrow(
      '@RateLimit on A.a: The policy "default" has two limits of concurrent requests, which would share one count.',
    );
  });

  it('must be there for the option "hold"', () => {
    const message =
      '@RateLimit on A.a: The option "hold" is for limits of concurrent requests, such as "5 concurrent".';
    expect(() => compile({ limits: '5/minute', hold: '1 minute' })).toThrow(message);
    expect(() => compile({ plans: { free: '5/minute' }, hold: '1 minute' })).toThrow(message);
    expect(() => compile({ plans: { free: '5 concurrent' }, hold: '1 minute' })).not.toThrow();
  });

  it('rejects options without a rate from a function, too', () => {
    const { limitsFor } = compile({ limits: () => ({ limits: '5 concurrent', burst: 9 }) });
    expect(() => limitsFor?.('')).toThrow('The option "burst" does not apply to concurrent requests');
  });

  it('rejects no option of limits that are unlimited', () => {
    expect(compile({ limits: 'unlimited', block: '1 hour', count: 'failure' }).limits).toEqual([]);
  });

  it('has no block where the module has one', () => {
    const { limits } = compile({ limits: '9/minute; 5 concurrent' }, { after: 3, for: 'window' });
    expect(limits.map(({ block, blockAfter }) => [block, blockAfter])).toEqual([
      [[60_000], 3],
      [[], 1],
    ]);
  });
});
