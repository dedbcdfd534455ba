import { describe, expect, it } from '@jest/globals';
import { ConfigurationError, parse, type Limit, type PolicyDeclaration } from 'nestjs-limits';
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

/** Compiles what one handler declares. */
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
      [{ limits: '5/minute; 10/2 hours; 100/day' }],
      [['default/minute', 'default/2-hour', 'default/day']],
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

  it('are never the same within a route', () => {
    const declarations: Declaration[] = [
      { limits: '5/minute; 5/2 minutes; 5/120 seconds; 5/hour', strategy: 'fixed-window' },
    ];
    expect(() => compileAt(...declarations)).toThrow(ConfigurationError);
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

describe('The ids of limits', () => {
  it('hold the policy, the scope, the window and the strategy, and not the amount', () => {
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
  ])('hold the scope %s', (scope, id) => {
    const declaration: Declaration =
      scope === undefined ? { limits: '5/minute' } : { limits: '5/minute', scope };
    expect(compileAt(declaration)[0]?.limits[0]?.id).toBe(id);
  });

  it('hold the scope of the level where a limit is declared', () => {
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
  it('are none where nothing is declared', () => {
    expect(compile()).toEqual([]);
    expect(compileAt()).toEqual([]);
  });

  it('are frozen, and keep what was declared', () => {
    const key = (): string => 'ann';
    const cost = (): number => 2;
    const skip = (): boolean => false;
    const [policy] = compileAt({ name: 'all', limits: parse('5/minute'), key, cost, skip });
    expect(policy).toMatchObject({ name: 'all', where: '@RateLimit on A.a', key, cost, skip });
    expect(Object.isFrozen(policy)).toBe(true);
    expect(Object.isFrozen(policy?.limits)).toBe(true);
    expect(compileAt({ limits: '5/minute' })[0]).toMatchObject({ key: undefined, cost: 1, skip: undefined });
  });

  it('take the innermost level per name, all its declarations and none of an outer one', () => {
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

  it('lose what a level skips, but not what a further one declares', () => {
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

  it('are refused with the name of the level that is wrong', () => {
    const outer = levelOf('RateLimitModule', 'global', { limits: '1/minute' });
    const wrong = levelOf('@RateLimit on A', 'controller', { name: 'x', limits: '1/aeon' });
    const inner = levelOf('@RateLimit on A.a', 'route', { name: 'x', limits: '1/minute' });
    expect(() => compile(outer, wrong, inner)).toThrow(
      /^@RateLimit on A: Cannot read the rate limit "1\/aeon"/,
    );
  });

  it('are refused where the storage cannot keep a limit, with the place of that limit', () => {
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

  it('are refused with the cause beside the place', () => {
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
