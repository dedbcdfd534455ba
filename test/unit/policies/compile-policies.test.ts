import { describe, expect, it } from '@jest/globals';
import {
  ConfigurationError,
  parse,
  RateLimitItemPerMinute,
  type Limit,
  type LimitInput,
  type PolicyDeclaration,
} from 'nestjs-limits';
import { compilePolicies } from '../../../lib/policies/compile-policies.js';
import type { Policy, PolicyLevel } from '../../../lib/policies/policy.js';

type Declaration = PolicyDeclaration<string>;
type Level = PolicyLevel<string, Declaration['key']>;

const scopes = { route: 'http GET /a', controller: 'http GET /' };

function levelOf(where: string, scope: Level['scope'], ...declarations: Declaration[]): Level {
  return { where, scope, declarations, skips: [] };
}

function compile(...levels: Level[]): Policy<string, Declaration['key']>[] {
  return compilePolicies({
    levels,
    scopes,
    defaultStrategy: 'fixed-window',
    assertSupported: () => undefined,
  });
}

/** Compiles the declarations of one handler. */
function compileAt(...declarations: Declaration[]): Policy<string, Declaration['key']>[] {
  return compile(levelOf('@RateLimit on A.a', 'route', ...declarations));
}

const namesOf = (policies: readonly { limits: readonly Limit[] }[]): string[][] =>
  policies.map(({ limits }) => limits.map(({ name }) => name));

describe('The names of limits', () => {
  it.each<[string, Declaration[], string[][]]>([
    ['the policy, where it has one limit', [{ limits: '5/minute' }], [['default']]],
    ['the policy, under its own name', [{ name: 'login', limits: '5/minute' }], [['login']]],
    [
      'policy and unit, where it has several',
      [{ limits: '5/minute; 10/hour' }],
      [['default/minute', 'default/hour']],
    ],
    [
      'policy, number and unit, where a window has several',
      [{ limits: '5/minute; 10/12 hours; 100/day' }],
      [['default/minute', 'default/12-hour', 'default/day']],
    ],
    [
      'policy and unit, where several declarations have one name',
      [{ limits: '5/minute' }, { limits: '10/hour' }],
      [['default/minute'], ['default/hour']],
    ],
    [
      'policy, unit and strategy, where the unit does not tell them apart',
      [{ limits: '5/minute; 50/hour' }, { limits: '9/minute', strategy: 'token-bucket' }],
      [['default/minute/fixed-window', 'default/hour'], ['default/minute/token-bucket']],
    ],
    [
      'each policy of its own',
      [{ limits: '5/minute' }, { name: 'constructor', limits: '5/minute' }],
      [['default'], ['constructor']],
    ],
  ])('are of %s', (_form, declarations, names) => {
    expect(namesOf(compileAt(...declarations))).toEqual(names);
  });

  it('are unique within a route', () => {
    const declarations: Declaration[] = [
      { limits: '5/minute; 5/2 minutes; 5/120 seconds; 5/hour', strategy: 'fixed-window' },
    ];
    expect(() => compileAt(...declarations)).toThrow(ConfigurationError);
    expect(() => compileAt(...declarations)).toThrow(
      '@RateLimit on A.a: The policy "default" has two limits per 2-minute with the strategy "fixed-window", which would ' +
        'share one count. Remove one, or give one of them another name: @RateLimit(limits, { name }).',
    );
    const names = namesOf(
      compileAt(
        { limits: '5/minute; 5/2 minutes; 5/hour' },
        { limits: '5/60 seconds; 5/hour', strategy: 'moving-window' },
        { limits: '5/minute; 5/hour', strategy: 'token-bucket' },
      ),
    ).flat();
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('Limits of one policy name, window and strategy', () => {
  it('throw even in different scopes, since header fields would show two limits with one name', () => {
    expect(() => compileAt({ limits: '5/minute' }, { limits: '9/60 seconds', scope: 'global' })).toThrow(
      '@RateLimit on A.a: The policy "default" has two limits per minute with the strategy "fixed-window"',
    );
  });
});

describe('The ids of limits', () => {
  it('contain the policy, the scope, the window and the strategy, and not the amount', () => {
    const [policy] = compileAt({ name: 'login', limits: '5/2 minutes', strategy: 'token-bucket', burst: 9 });
    expect(policy?.limits).toHaveLength(1);
    expect(policy?.limits[0]).toMatchObject({
      id: 'login@route http GET /a:120000:token-bucket',
      name: 'login',
      strategy: 'token-bucket',
      amount: 5,
      period: 120_000,
      burst: 9,
      mode: 'enforce',
      block: [],
    });
    expect(
      compileAt({ name: 'login', limits: '50/2 minutes', strategy: 'token-bucket' })[0]?.limits[0]?.id,
    ).toBe(policy?.limits[0]?.id);
  });

  it.each<[Declaration['scope'], string]>([
    [undefined, 'default@route http GET /a:60000:fixed-window'],
    ['route', 'default@route http GET /a:60000:fixed-window'],
    ['controller', 'default@controller http GET /:60000:fixed-window'],
    ['global', 'default@global:60000:fixed-window'],
    ['mails', 'default@shared mails:60000:fixed-window'],
    ['shared mails', 'default@shared shared mails:60000:fixed-window'],
    ['constructor', 'default@shared constructor:60000:fixed-window'],
    ['__proto__', 'default@shared __proto__:60000:fixed-window'],
    ['Global', 'default@shared Global:60000:fixed-window'],
  ])('contain the scope %s', (scope, id) => {
    const declaration: Declaration =
      scope === undefined ? { limits: '5/minute' } : { limits: '5/minute', scope };
    expect(compileAt(declaration)[0]?.limits[0]?.id).toBe(id);
  });

  it('contain the scope of the level where a limit is declared', () => {
    const policies = compile(
      levelOf('RateLimitModule', 'global', { name: 'module', limits: '5/minute' }),
      levelOf('@RateLimit on A', 'controller', { name: 'class', limits: '5/minute' }),
      levelOf('@RateLimit on A.a', 'route', { name: 'handler', limits: '5/minute' }),
    );
    expect(policies.map(({ limits: [limit] }) => limit?.id)).toEqual([
      'module@global:60000:fixed-window',
      'class@controller http GET /:60000:fixed-window',
      'handler@route http GET /a:60000:fixed-window',
    ]);
  });
});

describe('The policies of a route', () => {
  it('are empty without declarations', () => {
    expect(compile()).toEqual([]);
    expect(compileAt()).toEqual([]);
  });

  it('are frozen, and keep the declaration', () => {
    const key = (): string => 'ann';
    const cost = (): number => 2;
    const skip = (): boolean => false;
    const [policy] = compileAt({ name: 'all', limits: parse('5/minute'), key, cost, skip });
    expect(policy).toMatchObject({ name: 'all', where: '@RateLimit on A.a', key, cost, skip });
    expect(Object.isFrozen(policy)).toBe(true);
    expect(Object.isFrozen(policy?.limits)).toBe(true);
    expect(compileAt({ limits: '5/minute' })[0]).toMatchObject({ key: undefined, cost: 1, skip: undefined });
  });

  it('use the innermost level per name, with all its declarations and none of an outer level', () => {
    const policies = compile(
      levelOf(
        'module',
        'global',
        { limits: '1/minute' },
        { limits: '1/hour' },
        { name: 'b', limits: '1/day' },
      ),
      levelOf('class', 'controller', { limits: '2/minute' }, { name: 'c', limits: '2/day' }),
      levelOf('handler', 'route', { limits: '3/second' }, { limits: '3/day' }),
    );
    expect(
      policies.map(({ name, where, limits }) => [name, where, limits.map(({ amount }) => amount)]),
    ).toEqual([
      ['default', 'handler', [3]],
      ['default', 'handler', [3]],
      ['b', 'module', [1]],
      ['c', 'class', [2]],
    ]);
  });

  it('drop the policies that a level skips, but not those that a further one declares', () => {
    const outer = levelOf('module', 'global', { limits: '1/minute' }, { name: 'b', limits: '1/day' });
    const named: Level = { ...levelOf('class', 'controller', { name: 'c', limits: '1/day' }), skips: ['b'] };
    const all: Level = { ...levelOf('handler', 'route', { name: 'd', limits: '1/day' }), skips: 'all' };
    const inner = levelOf('inner', 'route', { name: 'b', limits: '9/day' });
    const names = (...levels: Level[]): string[] => compile(...levels).map(({ name }) => name);
    expect(names(outer, named)).toEqual(['default', 'c']);
    expect(names(outer, all)).toEqual([]);
    expect(names(outer, named, inner)).toEqual(['default', 'c', 'b']);
    expect(names(outer, all, inner)).toEqual(['b']);
  });

  it('throw if a level skips a policy that does not apply there, and list those that do', () => {
    const outer = levelOf('module', 'global', { limits: '1/minute' }, { name: 'b', limits: '1/day' });
    const skipping = (...skips: string[]): Level => ({ ...levelOf('class', 'controller'), skips });
    const compiling = (otherNames: readonly string[], ...levels: Level[]): (() => unknown) => {
      const compilation = {
        scopes,
        defaultStrategy: 'fixed-window',
        assertSupported: () => undefined,
      } as const;
      return () => compilePolicies({ ...compilation, levels, otherNames });
    };
    expect(compiling(['rule'], outer, skipping('c'))).toThrow(
      'class: @SkipRateLimit names the policy "c", which does not apply there. Policies that do: default, b, rule.',
    );
    expect(compiling([], skipping('c'))).toThrow(
      'class: @SkipRateLimit names the policy "c", which does not apply there. No policy does.',
    );
    expect(compiling([], outer, skipping('b', 'b'))).toThrow('the policy "b", which does not apply there');
    expect(compiling(['rule'], outer, skipping('rule'))).not.toThrow();
  });

  it('throw with the name of the invalid level', () => {
    const outer = levelOf('RateLimitModule', 'global', { limits: '1/minute' });
    const wrong = levelOf('@RateLimit on A', 'controller', { name: 'x', limits: '1/aeon' });
    const inner = levelOf('@RateLimit on A.a', 'route', { name: 'x', limits: '1/minute' });
    expect(() => compile(outer, wrong, inner)).toThrow(
      /^@RateLimit on A: Cannot read the rate limit "1\/aeon"/,
    );
  });

  it('throw with the location of a limit that the storage does not support', () => {
    const refuse = (limit: Limit): void => {
      if (limit.strategy === 'moving-window') throw new ConfigurationError(`no "${limit.name}" here`);
    };
    const level = levelOf(
      '@RateLimit on A.a',
      'route',
      { limits: '1/minute' },
      { name: 'log', limits: '1/day', strategy: 'moving-window' },
    );
    const call = (): unknown =>
      compilePolicies({ levels: [level], scopes, defaultStrategy: 'fixed-window', assertSupported: refuse });
    expect(call).toThrow(/^@RateLimit on A\.a: no "log" here$/);
  });

  it('throw with the cause and the location', () => {
    const cause = (() => {
      try {
        return compileAt({ limits: '1/minute', cost: -1 });
      } catch (error) {
        return (error as Error).cause;
      }
    })();
    expect(cause).toBeInstanceOf(RangeError);
  });
});

describe('The options of a policy', () => {
  it('have defaults: every request counts, before authentication, and none is blocked', () => {
    const [policy] = compileAt({ limits: '5/minute' });
    expect(policy).toMatchObject({
      phase: 'beforeAuth',
      plans: undefined,
      limitsFor: undefined,
      compileLimits: undefined,
      settlement: undefined,
      errorMessage: undefined,
    });
    expect(policy?.limits[0]).toMatchObject({ mode: 'enforce', block: [] });
  });

  it('are kept, or passed to its limits', () => {
    const [policy] = compileAt({
      limits: '5/minute; 50/hour',
      block: ['1 minute', '1 hour'],
      mode: 'shadow',
      phase: 'afterAuth',
      errorMessage: 'Slow down.',
    });
    expect(policy).toMatchObject({ phase: 'afterAuth', errorMessage: 'Slow down.' });
    expect(policy?.limits.map(({ mode, block }) => [mode, block])).toEqual([
      ['shadow', [60_000, 3_600_000]],
      ['shadow', [60_000, 3_600_000]],
    ]);
    const errorMessage = (): string => 'Slow down.';
    expect(compileAt({ limits: '5/minute', errorMessage })[0]?.errorMessage).toBe(errorMessage);
    expect(compileAt({ limits: '5/minute', name: 'n'.repeat(100) })[0]?.name).toBe('n'.repeat(100));
    expect(compileAt({ limits: '5/minute', block: '15 minutes' })[0]?.limits[0]?.block).toEqual([900_000]);
  });

  it('has the actual cost of an outcome: 0 if it does not count, undefined for the reserved cost', () => {
    const costsOf = (count: Declaration['count']): unknown[] | undefined => {
      const { settlement } =
        compileAt({ limits: '5/minute', ...(count === undefined ? {} : { count }) })[0] ?? {};
      return settlement && [true, false].map((success) => settlement.actualCost('context', { success }));
    };
    expect(costsOf(undefined)).toBeUndefined();
    expect(costsOf('all')).toBeUndefined();
    expect(costsOf('success')).toEqual([undefined, 0]);
    expect(costsOf('failure')).toEqual([0, undefined]);
    expect(costsOf((context, { success }) => success && context === 'context')).toEqual([undefined, 0]);
    const actualCost = (): number => 7;
    expect(compileAt({ limits: '5/minute', actualCost })[0]?.limits[0]?.refundable).toBe(true);
    expect(compileAt({ limits: '5/minute', actualCost })[0]?.settlement).toEqual({
      option: 'actualCost',
      actualCost,
    });
  });

  it.each<[string, unknown, string]>([
    [
      'a name',
      { name: '1st' },
      'The name of a policy must begin with a letter and hold letters, digits, "_", "." and "-" only; got the string "1st".',
    ],
    [
      'an empty scope',
      { scope: '' },
      'The scope must be "route", "controller", "global" or another non-empty name; got the string "".',
    ],
    [
      'a scope that is a number',
      { scope: 5 },
      'The scope must be "route", "controller", "global" or another non-empty name; got the number 5.',
    ],
    ['a skip', { skip: 'yes' }, 'The option "skip" must be a function; got the string "yes".'],
    [
      'an onError',
      { onError: 'ignore' },
      'The option "onError" must be one of "allow", "fallback", "deny"; got the string "ignore".',
    ],
    ['an option', { max: 5 }, 'A rate limit does not know the option "max". Known options: limits, name, '],
    [
      'a burst for several limits',
      { limits: '5/minute; 50/hour', strategy: 'token-bucket', burst: 9 },
      'A burst needs a single limit. Declare each limit with its own burst and name.',
    ],
    [
      'a phase',
      { phase: 'before' },
      'The option "phase" must be one of "beforeAuth", "afterAuth"; got the string "before".',
    ],
    [
      'a count',
      { count: 'failures' },
      'The option "count" must be one of "all", "failure", "success"; got the string "failures".',
    ],
    [
      'a mode',
      { mode: 'dry' },
      'The mode of the limit "default" must be "enforce" or "shadow"; got the string "dry".',
    ],
    [
      'a block',
      { block: 'long' },
      'A length of time is written as "15 minutes" or "1 hour"; got the string "long".',
    ],
    [
      'a block of null',
      { block: null },
      'A length of time is written as "15 minutes" or "1 hour"; got null.',
    ],
    [
      'a block without its duration',
      { block: { after: 20 } },
      "A block needs a duration: { after: 20, for: '1 hour' }.",
    ],
    [
      'a block after no refusals',
      { block: { after: 0, for: '1 hour' } },
      'The option "after" of a block must be a whole number, at least 1; got the number 0.',
    ],
    [
      'a block, where a function returns the limits',
      { limits: () => '5/minute', block: 'long' },
      'A length of time is written as "15 minutes" or "1 hour"; got the string "long".',
    ],
    [
      'limits of null',
      { limits: null },
      'A limit must be a text such as "10/minute", a RateLimitItem or a list of them; got null.',
    ],
    [
      'an object of limits without limits',
      { plans: { pro: { burst: 20 } } },
      `An object of limits needs "limits": { limits: '10/minute', burst: 20 }.`,
    ],
    [
      'both a count and an actual cost',
      { count: 'failure', actualCost: () => 1 },
      'A rate limit takes "count" or "actualCost", not both: a request that does not count has the actual cost 0.',
    ],
    [
      'one of several blocks',
      { block: ['1 hour', 5] },
      'A length of time is written as "15 minutes" or "1 hour"; got the number 5.',
    ],
    [
      'a message',
      { errorMessage: 5 },
      'The option "errorMessage" must be a string or a function; got the number 5.',
    ],
    [
      'limits and no plans',
      { limits: undefined },
      'A rate limit needs "limits", such as "10/minute", or "plans".',
    ],
    ['plans', { plans: {} }, 'The option "plans" is empty. Name at least one plan.'],
    ['plans in a list', { plans: ['5/minute'] }, 'The option "plans" must be an object; got an array.'],
    ['a plan', { plans: { pro: '5/minuet' } }, 'Cannot read the rate limit "5/minuet"'],
    [
      'plans that are all unlimited',
      { limits: undefined, plans: { a: 'unlimited', b: 'unlimited' } },
      'Every one of the "plans" is unlimited. Give "limits" too, for requests without one of these plans.',
    ],
  ])('throw with the location if they are invalid: %s', (_what, options, message) => {
    const call = (): unknown => compileAt({ limits: '5/minute', ...(options as Partial<Declaration>) });
    expect(call).toThrow(ConfigurationError);
    expect(call).toThrow(`@RateLimit on A.a: ${message}`);
  });
});

describe('The units of a limit by outcome', () => {
  it.each<[Declaration['count'], boolean]>([
    [undefined, false],
    ['all', false],
    ['success', true],
    ['failure', true],
    [() => true, true],
  ])('can be refunded at any time: %p, %p', (count, refundable) => {
    const [policy] = compileAt({ limits: '5/minute', ...(count === undefined ? {} : { count }) });
    expect(policy?.limits[0]?.refundable).toBe(refundable);
  });
});

describe('The limits of plans', () => {
  const amounts = (limits: readonly Limit[] | undefined): [number, number][] | undefined =>
    limits?.map(({ amount, period }) => [amount, period]);

  it('are compiled next to the limits without a plan', () => {
    const [policy] = compileAt({
      limits: '1/minute',
      plans: { free: '5/minute', pro: '100/minute; 1000/day', internal: 'unlimited' },
    });
    expect(amounts(policy?.limits)).toEqual([[1, 60_000]]);
    expect([...(policy?.plans ?? [])].map(([plan, limits]) => [plan, amounts(limits)])).toEqual([
      ['free', [[5, 60_000]]],
      [
        'pro',
        [
          [100, 60_000],
          [1000, 86_400_000],
        ],
      ],
      ['internal', []],
    ]);
  });

  it.each<[Declaration['plans'], [number, number][]]>([
    [{ pro: '100/minute', free: '5/minute' }, [[5, 60_000]]],
    [{ day: '500/day', minute: '5/minute' }, [[500, 86_400_000]]],
    [{ internal: 'unlimited', pro: '100/minute' }, [[100, 60_000]]],
    [{ a: '100/second; 200/hour', b: '1/minute' }, [[1, 60_000]]],
    [{ none: '0/minute', free: '5/minute' }, [[0, 60_000]]],
    [
      { slow: '100/second; 1/hour', free: '1/minute' },
      [
        [100, 1000],
        [1, 3_600_000],
      ],
    ],
  ])('include, by the strictest plan, the limits without a plan: %j', (plans, limits) => {
    const [policy] = compileAt({ ...(plans === undefined ? {} : { plans }) });
    expect(amounts(policy?.limits)).toEqual(limits);
  });

  it('can all be unlimited next to limits without a plan', () => {
    const [policy] = compileAt({ limits: '1/minute', plans: { internal: 'unlimited' } });
    expect(amounts(policy?.limits)).toEqual([[1, 60_000]]);
    expect(amounts(policy?.plans?.get('internal'))).toEqual([]);
  });

  it('share a cell if their windows and strategies are the same', () => {
    const [policy] = compileAt({ plans: { free: '5/minute', pro: '100/60 seconds', day: '9000000/day' } });
    const ids = [...(policy?.plans?.values() ?? [])].flat().map(({ id }) => id);
    expect(ids[0]).toBe(ids[1]);
    expect(ids[0]).toBe(policy?.limits[0]?.id);
    expect(ids[2]).not.toBe(ids[0]);
  });

  it('can have names of Object.prototype', () => {
    const plans = Object.fromEntries([
      ['__proto__', '5/minute'],
      ['constructor', '6/minute'],
    ]);
    const [policy] = compileAt({ limits: '1/minute', plans });
    expect(amounts(policy?.plans?.get('__proto__'))).toEqual([[5, 60_000]]);
    expect(amounts(policy?.plans?.get('constructor'))).toEqual([[6, 60_000]]);
    expect(policy?.plans?.get('toString')).toBeUndefined();
  });

  it('must not share a cell with the same plan of another declaration of the name, but can with another plan', () => {
    expect(() =>
      compileAt({ plans: { free: '1/day', pro: '200/hour' } }, { plans: { free: '1/week', pro: '1/hour' } }),
    ).toThrow(
      '@RateLimit on A.a: The policy "default" has two limits per hour with the strategy "fixed-window"',
    );
    const [first, second] = compileAt(
      { limits: '1/second', plans: { free: '1/day', pro: '200/hour' } },
      { limits: '1/minute', plans: { free: '1/hour', pro: '1/day' } },
    );
    expect(first?.plans?.get('pro')?.map(({ name }) => name)).toEqual(['default/hour']);
    expect(second?.plans?.get('pro')?.map(({ name }) => name)).toEqual(['default/day']);
  });

  it('of another declaration without the plan are its limits without a plan', () => {
    expect(() => compileAt({ limits: '9/hour' }, { limits: '1/day', plans: { pro: '5/hour' } })).toThrow(
      'has two limits per hour',
    );
    const [plain, planned] = compileAt(
      { limits: '9/hour' },
      { limits: '1/day', plans: { pro: 'unlimited' } },
    );
    expect(plain?.limits.map(({ name }) => name)).toEqual(['default/hour']);
    expect(planned?.plans?.get('pro')).toEqual([]);
  });

  it('must not share a cell with another declaration of the name', () => {
    expect(() => compileAt({ limits: '9/hour' }, { plans: { free: '1/minute', pro: '5/hour' } })).toThrow(
      '@RateLimit on A.a: The policy "default" has two limits per hour with the strategy "fixed-window"',
    );
  });
});

describe('Limits from a function', () => {
  const policyOf = (limits: Declaration['limits']): Policy<string, Declaration['key']> => {
    const [policy] = compileAt(limits === undefined ? {} : { limits, strategy: 'token-bucket' });
    if (policy === undefined) throw new Error('no policy');
    return policy;
  };

  it('are compiled once per text', () => {
    const { limitsFor, limits } = policyOf((context) => context);
    expect(limits).toEqual([]);
    const found = limitsFor?.('7/minute');
    expect(found).toMatchObject([
      {
        id: 'default@route http GET /a:60000:token-bucket',
        name: 'default',
        amount: 7,
        strategy: 'token-bucket',
      },
    ]);
    expect(limitsFor?.('7/minute')).toBe(found);
    expect(limitsFor?.('8/minute')).toMatchObject([{ amount: 8 }]);
    expect(limitsFor?.('7/minute')).toBe(found);
    expect(limitsFor?.('unlimited')).toEqual([]);
  });

  it('are compiled again when there have been too many different ones', () => {
    const { limitsFor } = policyOf((context) => context);
    const first = limitsFor?.('7/minute');
    for (let amount = 1; amount <= 999; amount++) void limitsFor?.(`${amount}/hour`);
    expect(limitsFor?.('7/minute')).toBe(first);
    void limitsFor?.('1000/hour');
    expect(limitsFor?.('7/minute')).not.toBe(first);
    expect(limitsFor?.('7/minute')).toEqual(first);
  });

  it('can be items, and can be asynchronous', async () => {
    expect(await policyOf(async () => Promise.resolve(parse('7/minute'))).limitsFor?.('')).toMatchObject([
      { amount: 7 },
    ]);
    expect(policyOf(() => [parse('7/minute'), parse('8/hour')]).limitsFor?.('')).toMatchObject([
      { amount: 7, name: 'default/minute' },
      { amount: 8, name: 'default/hour' },
    ]);
  });

  it.each([undefined, null, '', '5/minuet', 5, [], {}])('throw if they are invalid: %p', (found) => {
    expect(() => void policyOf(() => found as never).limitsFor?.('')).toThrow();
  });
});

describe('Limits from a function next to declared limits', () => {
  it('can equal the declared limits, and otherwise have their own names', () => {
    const [found] = compileAt({ limits: (context) => context }, { limits: '5/minute; 50/hour' });
    expect(namesOf([{ limits: found?.limitsFor?.('10/minute') as readonly Limit[] }])).toEqual([
      ['default/minute'],
    ]);
    expect(namesOf([{ limits: found?.limitsFor?.('10/day') as readonly Limit[] }])).toEqual([
      ['default/day'],
    ]);
    expect(namesOf([{ limits: found?.limitsFor?.('10/minute; 10/day') as readonly Limit[] }])).toEqual([
      ['default/minute', 'default/day'],
    ]);
  });
});

describe('The fingerprint of a policy', () => {
  const fingerprintOf = (...[declaration]: [Declaration]): unknown => compileAt(declaration)[0]?.fingerprint;
  const returned = (): string => '5/minute';
  const no = (): boolean => false;

  it('differs for each option that changes what it counts, and is the same for the same options', () => {
    const limits = '5/minute';
    const declarations: Declaration[] = [
      { limits },
      { limits: '6/minute' },
      { limits: '5/hour' },
      { limits, name: 'other' },
      { limits, scope: 'global' },
      { limits, mode: 'shadow' },
      { limits, block: '1 hour' },
      { limits, block: '2 hours' },
      { limits, block: { after: 2, for: '1 hour' } },
      { limits, strategy: 'token-bucket' },
      { limits, strategy: 'token-bucket', burst: 9 },
      { limits, plans: { pro: '9/minute' } },
      { limits, plans: { pro: '10/minute' } },
      { limits, plans: { team: '9/minute' } },
      { limits: returned },
      { limits: () => '5/minute' },
      { limits, cost: 2 },
      { limits, cost: () => 2 },
      { limits, count: 'failure' },
      { limits, actualCost: () => 2 },
      { limits, phase: 'afterAuth' },
      { limits, skip: no },
    ];
    const fingerprints = declarations.map(fingerprintOf);
    expect(new Set(fingerprints).size).toBe(declarations.length);
    expect(declarations.map((one) => fingerprintOf({ ...one }))).toEqual(fingerprints);
  });

  it('is the same for another spelling of the limits, and another answer to a refusal', () => {
    expect(fingerprintOf({ limits: '5 per 60 seconds', errorMessage: 'Later.', onRefused: no })).toBe(
      fingerprintOf({ limits: '5/minute' }),
    );
  });
});

describe('Limits that a function returns', () => {
  it('are those of each call, if items are among them', async () => {
    let amount = 5;
    const items = () => new RateLimitItemPerMinute(amount++);
    for (const limits of [items, (): LimitInput => ['9/hour', items()]]) {
      const [policy] = compileAt({ limits });
      const amounts = async () => (await policy?.limitsFor?.('context'))?.map((limit) => limit.amount).at(-1);
      const first = amount;
      expect([await amounts(), await amounts()]).toEqual([first, first + 1]);
    }
  });
});

describe('A request whose client has gone', () => {
  it.each<Declaration['count']>(['success', 'failure', () => false])('counts with the option %p', (count) => {
    const [policy] = compileAt({ limits: '5/minute', count });
    const costs = [true, false].map((success) =>
      policy?.settlement?.actualCost('context', { success, aborted: true }),
    );
    expect([policy?.settlement?.option, ...costs]).toEqual(['count', undefined, undefined]);
  });
});

describe('An invalid name', () => {
  it('is truncated if it is long', () => {
    const strategy = 'x'.repeat(100_000) as 'fixed-window';
    const call = (): unknown => compileAt({ limits: '1/minute' }, { limits: '1/minute', strategy });
    expect(call).toThrow(
      /^@RateLimit on A\.a: The strategy of the limit "default\/minute\/x{62}\.\.\.".{1,600}$/s,
    );
  });

  it('throws as a strategy, whatever its type', () => {
    expect(() => compileAt({ limits: '1/minute', strategy: Object.create(null) as 'fixed-window' })).toThrow(
      '@RateLimit on A.a: The strategy must be a name such as "fixed-window"; got an object (Object).',
    );
  });

  it.each<[unknown, string]>([
    [Symbol('s'), 'the symbol "Symbol(s)"'],
    ['a\n', String.raw`the policy "a\n"`],
  ])('throws as a policy to skip: %p', (name, described) => {
    const level = { ...levelOf('@SkipRateLimit on A.a', 'route'), skips: [name as string] };
    expect(() => compile(level)).toThrow(
      `@SkipRateLimit on A.a: @SkipRateLimit names ${described}, which does not apply there. No policy does.`,
    );
  });
});
