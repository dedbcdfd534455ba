import { describe, expect, it } from '@jest/globals';
import { createLimit, type LimitWait, type PolicyDeclaration } from 'nestjs-limits';
import { compilePolicies } from '../../../lib/policies/compile-policies.js';
import type { Policy } from '../../../lib/policies/policy.js';
import type { WaitOption } from '../../../lib/policies/wait-option.js';

type Declaration = PolicyDeclaration<string>;

function compile(declaration: Declaration, defaultWait?: WaitOption): Policy<string, Declaration['key']> {
  const [policy] = compilePolicies({
    levels: [{ where: '@RateLimit on A.a', scope: 'route', declarations: [declaration], skips: [] }],
    scopes: { route: 'http GET /a', controller: 'http GET /' },
    defaultStrategy: 'fixed-window',
    defaultWait,
    assertSupported: () => undefined,
  });
  return policy as Policy<string, Declaration['key']>;
}

const waits = (declaration: Declaration, defaultWait?: WaitOption): (LimitWait | undefined)[] =>
  compile(declaration, defaultWait).limits.map(({ wait }) => wait);

describe('The wait of a policy', () => {
  it('is that of all of its limits, in ms', () => {
    const limits = '5/minute; 2 concurrent';
    const [short, long] = [
      { maxWait: 2000, maxQueue: Infinity },
      { maxWait: 60_000, maxQueue: 100 },
    ];
    expect(waits({ limits, wait: '2 seconds' })).toEqual([short, short]);
    expect(waits({ limits, wait: { maxWait: '1 minute', maxQueue: 100 } })).toEqual([long, long]);
    expect(waits({ limits, wait: { maxWait: '2 seconds' } })).toEqual([short, short]);
    expect(waits({ limits })).toEqual([undefined, undefined]);
  });

  it('is that of the module by default, and none if it is false', () => {
    expect(waits({ limits: '5/minute' }, '1 second')).toEqual([{ maxWait: 1000, maxQueue: Infinity }]);
    expect(waits({ limits: '5/minute', wait: '2 seconds' }, '1 second')[0]?.maxWait).toBe(2000);
    expect(waits({ limits: '5/minute', wait: false, block: '1 hour' }, '1 second')).toEqual([undefined]);
  });

  it('may differ by plan, and by what a function returns', async () => {
    const plan = { limits: '9/minute; 2 concurrent', wait: { maxWait: '5 seconds', maxQueue: 3 } };
    const { plans, limits } = compile({ plans: { free: '5/minute', pro: plan }, wait: '1 second' });
    const patient = { maxWait: 5000, maxQueue: 3 };
    expect(plans?.get('pro')?.map(({ wait }) => wait)).toEqual([patient, patient]);
    expect(limits.map(({ wait }) => wait?.maxWait)).toEqual([1000]);
    const found = await compile({ limits: () => plan }).limitsFor?.('');
    expect(found?.map(({ wait }) => wait)).toEqual([patient, patient]);
  });

  it('leaves blocks and elastic windows alone where there is none, whatever a function returns', () => {
    expect(() => compile({ limits: () => '5/minute', block: '1 hour' })).not.toThrow();
    const elastic = { limits: () => '5/minute', strategy: 'fixed-window-elastic-expiry' } as const;
    expect(() => compile({ ...elastic, wait: false }, '1 second')).not.toThrow();
  });

  it.each<[string, Declaration, string]>([
    ['a block', { limits: '5/minute', wait: '1 second', block: '1 hour' }, 'does not go with a block'],
    [
      'a block of a plan',
      { plans: { pro: { limits: '5/minute', block: '1 hour' } }, wait: '1 second' },
      'does not go with a block',
    ],
    [
      'a function and a block',
      { limits: () => '5/minute', wait: '1 second', block: '1 hour' },
      '@RateLimit on A.a: The wait does not go with a block',
    ],
    [
      'an elastic window',
      { limits: '5/minute', wait: '1 second', strategy: 'fixed-window-elastic-expiry' },
      'does not go with the strategy "fixed-window-elastic-expiry"',
    ],
    ['a number', { limits: '5/minute', wait: 2 as never }, 'A length of time is written as "15 minutes"'],
    ['null', { limits: '5/minute', wait: null as never }, '"15 minutes" or "1 hour"; got null.'],
    ['no maximum', { limits: '5/minute', wait: {} as never }, 'A length of time is written as "15 minutes"'],
    [
      'a queue of no requests',
      { limits: '5/minute', wait: { maxWait: '1 second', maxQueue: 0 } },
      'The option "maxQueue" of a wait must be a whole number, at least 1; got the number 0.',
    ],
    [
      'an unknown option',
      { limits: '5/minute', wait: { maxWait: '1 second', max: 1 } as never },
      'A wait does not know the option "max". Known options: maxWait, maxQueue.',
    ],
  ])('stops the start with %s', (_what, declaration, message) => {
    expect(() => compile(declaration)).toThrow(`@RateLimit on A.a: `);
    expect(() => compile(declaration)).toThrow(message);
  });

  it('excludes blocks and elastic windows of a limit by hand, too', () => {
    const wait = { maxWait: 1000, maxQueue: 1 };
    const limit = { id: 'a', strategy: 'fixed-window', amount: 1, period: 1000, wait } as const;
    expect(createLimit(limit).wait).toEqual(wait);
    expect(() => createLimit({ ...limit, block: [1000] })).toThrow(
      'The wait of the limit "a" does not go with a block: a request that waits is not refused, and would start none. Set "wait: false" or "block: []".',
    );
  });
});
