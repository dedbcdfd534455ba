import { describe, expect, it } from '@jest/globals';
import { ConfigurationError, RateLimitItemPerMinute, type RateLimitRule } from 'nestjs-limits';
import { applyShared, storedRules, type SharedRule } from '../../../lib/policies/shared-rules.js';

const skip = (): boolean => false;
const api: RateLimitRule = { id: 'api', path: '/api/**', limits: '10/minute', skip };
const login: RateLimitRule = { id: 'login', path: '/login', limits: '5/minute' };

function apply(
  code: readonly RateLimitRule[],
  shared: readonly SharedRule[],
  later: readonly RateLimitRule[] = code,
): ReturnType<typeof applyShared<RateLimitRule>> {
  // The store holds text.
  return applyShared(later, JSON.parse(JSON.stringify(storedRules(shared, code))) as never);
}

describe('Shared rules', () => {
  it('change options of the code’s rule, and leave its functions', () => {
    expect(apply([api, login], [{ id: 'api', limits: '3/minute', mode: 'shadow' }])).toEqual({
      rules: [{ ...api, limits: '3/minute', mode: 'shadow' }, login],
      outdated: [],
    });
  });

  it('leave all rules as they are where there are none', () => {
    const rules = [api, login];
    expect(applyShared(rules, [])).toEqual({ rules, outdated: [] });
  });

  it('may have options in lists and objects', () => {
    const block = { after: 3, for: ['1 minute', '1 hour'] };
    expect(apply([login], [{ id: 'login', block }]).rules).toEqual([{ ...login, block }]);
  });

  it('switch a rule off', () => {
    expect(apply([api, login], [{ id: 'api', off: true }]).rules).toEqual([login]);
    expect(apply([api, login], [{ id: 'api', off: false }]).rules).toEqual([api, login]);
  });

  it('add rules after those of the code', () => {
    const flood: SharedRule = {
      id: 'flood',
      path: '/**',
      limits: ['1/second', '10/minute'],
      key: ['ip', 'user'],
    };
    expect(apply([api], [flood]).rules).toEqual([api, flood]);
    expect(apply([], [flood]).rules).toEqual([flood]);
  });

  it('are ignored where a deployment has changed the rule, removed it, or taken its id', () => {
    const shared: SharedRule[] = [
      { id: 'api', limits: '3/minute' },
      { id: 'login', off: true },
    ];
    const changed = { ...api, limits: '20/minute' };
    expect(apply([api, login], shared, [changed, login])).toEqual({ rules: [changed], outdated: ['api'] });
    expect(apply([api, login], shared, [login])).toEqual({ rules: [], outdated: ['api'] });
    expect(apply([login], [{ id: 'api', path: '/api', limits: '3/minute' }], [api, login])).toEqual({
      rules: [api, login],
      outdated: ['api'],
    });
  });

  it('know a rule of another process by its content, in any order, functions by their source', () => {
    const same = {
      skip: (): boolean => false,
      limits: '10/minute',
      path: '/api/**',
      id: 'api',
      burst: undefined,
    };
    expect(apply([api], [{ id: 'api', limits: '3/minute' }], [same]).outdated).toEqual([]);
    const other = { ...api, skip: (): boolean => true };
    expect(apply([api], [{ id: 'api', limits: '3/minute' }], [other]).outdated).toEqual(['api']);
    const listed = (...limits: string[]): RateLimitRule => ({ ...api, limits });
    const change: SharedRule = { id: 'api', mode: 'shadow', burst: undefined };
    expect(apply([listed('1/minute', '9/hour')], [change], [listed('1/minute', '9/hour')]).outdated).toEqual(
      [],
    );
    expect(apply([listed('1/minute', '9/hour')], [change], [listed('9/hour', '1/minute')]).outdated).toEqual([
      'api',
    ]);
    expect(apply([listed('a,b')], [change], [listed('a', 'b')]).outdated).toEqual(['api']);
    const bursting = (burst: unknown): RateLimitRule => ({ ...api, burst: burst as number });
    expect(apply([bursting(1)], [change], [bursting('1')]).outdated).toEqual(['api']);
    expect(apply([bursting(null)], [change], [bursting(null)]).outdated).toEqual([]);
    const items = (amount: number): RateLimitRule => ({ ...api, limits: new RateLimitItemPerMinute(amount) });
    expect(apply([items(1)], [{ id: 'api', mode: 'shadow' }], [items(1)]).outdated).toEqual([]);
    expect(apply([items(1)], [{ id: 'api', mode: 'shadow' }], [items(2)]).outdated).toEqual(['api']);
  });

  it.each<[title: string, shared: unknown, message: string]>([
    [
      'a function',
      { id: 'api', skip },
      'The shared rule "api": "skip" cannot be shared; got a function (skip). Functions, classes and items stay in the code: share texts, numbers, booleans and lists of them.',
    ],
    [
      'an item within a list',
      { id: 'api', limits: [new RateLimitItemPerMinute(1)] },
      'The shared rule "api": "limits" cannot be shared; got an object (RateLimitItemPerMinute). Functions, classes and items stay in the code: share texts, numbers, booleans and lists of them.',
    ],
    [
      'an object with a function',
      { id: 'api', block: { for: skip } },
      'The shared rule "api": "block" cannot be shared; got a function (skip). Functions, classes and items stay in the code: share texts, numbers, booleans and lists of them.',
    ],
    [
      'a null',
      { id: 'api', burst: null },
      'The shared rule "api": "burst" cannot be shared; got null. Functions, classes and items stay in the code: share texts, numbers, booleans and lists of them.',
    ],
    ['a text', 'api', 'The shared rule at 0 must be an object; got the string "api".'],
    [
      'a rule without id',
      { limits: '1/minute' },
      'The id of the shared rule at 0 must begin with a letter and hold letters, digits, "_", "." and "-" only; got undefined.',
    ],
    [
      'an unknown rule to switch off',
      { id: 'apis', off: true },
      'The shared rule "apis" cannot be switched off: there is no such rule. Rules: api, login.',
    ],
    [
      'a wrong "off"',
      { id: 'api', off: 1 },
      'The shared rule "api": "off" must be true or false; got the number 1.',
    ],
  ])('cannot be %s', (_title, shared, message) => {
    expect(() => storedRules([shared as SharedRule], [api, login])).toThrow(new ConfigurationError(message));
  });

  it('cannot switch off a rule where there is none', () => {
    expect(() => storedRules([{ id: 'api', off: true }], [])).toThrow(
      'The shared rule "api" cannot be switched off: there is no such rule. Rules: none.',
    );
  });

  it('have ids of their own', () => {
    expect(() => storedRules([{ id: 'api' }, { id: 'api' }], [api])).toThrow(
      new ConfigurationError('There are two shared rules "api".'),
    );
  });
});
