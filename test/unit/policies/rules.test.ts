import { describe, expect, it } from '@jest/globals';
import { ConfigurationError, type Rule } from 'nestjs-limits';
import { splitPath } from '../../../lib/policies/request-path.js';
import { policiesFor, RuleBook } from '../../../lib/policies/rules.js';

type AnyRule = Rule<string>;

/** Compiles rules to their ids. */
const bookOf = (...rules: readonly Partial<AnyRule>[]): RuleBook<string, AnyRule['key'], string> =>
  new RuleBook(
    rules.map((rule, index) => ({ id: `rule${index}`, path: '/**', limits: '5/minute', ...rule })),
    ({ where }) => [where.slice('The rule "'.length, -1)],
  );

const found = (rules: readonly Partial<AnyRule>[], request: string): readonly string[] => {
  const [method = '', path = ''] = request.split(' ');
  return bookOf(...rules).forRequest(method, splitPath(path));
};

describe('The rule that applies to a request', () => {
  it('is the first that matches method and path', () => {
    const rules = [
      { id: 'read', method: 'GET', path: '/users/**' },
      { id: 'write', method: ['post', 'PUT'], path: '/users/**' },
    ];
    expect(found(rules, 'GET /users/1')).toEqual(['read']);
    expect(found(rules, 'POST /users')).toEqual(['write']);
    expect(found(rules, 'PUT /users')).toEqual(['write']);
    expect(found(rules, 'DELETE /users')).toEqual([]);
    expect(found(rules, 'GET /posts')).toEqual([]);
  });

  it('counts HEAD as GET, and matches every method by "*" or without methods', () => {
    expect(found([{ id: 'get', method: 'GET' }], 'HEAD /')).toEqual(['get']);
    expect(found([{ id: 'get', method: 'get' }], 'HEAD /')).toEqual(['get']);
    expect(found([{ id: 'head', method: 'HEAD' }], 'GET /')).toEqual([]);
    expect(found([{ id: 'post', method: 'POST' }], 'HEAD /')).toEqual([]);
    expect(found([{ id: 'all', method: '*' }], 'PURGE /')).toEqual(['all']);
    expect(found([{ id: 'all', method: ['GET', '*'] }], 'M-SEARCH /')).toEqual(['all']);
    expect(found([{ id: 'all' }], 'QUERY /')).toEqual(['all']);
  });

  it('is the one with the highest priority, whatever its path', () => {
    const rules = [
      { id: 'exact', path: '/a/b' },
      { id: 'high', path: '/**', priority: 1 },
      { id: 'low', path: '/a/b', priority: -1 },
    ];
    expect(found(rules, 'GET /a/b')).toEqual(['high']);
    expect(
      found(
        rules.filter(({ id }) => id !== 'high'),
        'GET /a/b',
      ),
    ).toEqual(['exact']);
    expect(
      found(
        rules.filter(({ id }) => id === 'low'),
        'GET /a/b',
      ),
    ).toEqual(['low']);
  });

  it('is the one with the more specific path if priorities are equal', () => {
    const rules = ['/**', '/a/**', '/a/*', '/a/:id', '/a/b'].map((path, index) => ({
      id: `r${index}`,
      path,
    }));
    expect(found(rules, 'GET /a/b')).toEqual(['r4']);
    expect(found(rules, 'GET /a/c')).toEqual(['r2']);
    expect(found(rules, 'GET /a/c/d')).toEqual(['r1']);
    expect(found(rules, 'GET /b')).toEqual(['r0']);
  });

  it('is the one that was declared first if paths are equally specific', () => {
    const rules = [
      { id: 'one', path: '/a/*' },
      { id: 'two', path: '/a/:id' },
    ];
    expect(found(rules, 'GET /a/b')).toEqual(['one']);
    expect(found(rules.toReversed(), 'GET /a/b')).toEqual(['two']);
  });

  it('is combined with further rules if it has "continue"', () => {
    const rules = [
      { id: 'all', path: '/**', priority: 9, continue: true },
      { id: 'api', path: '/api/**', continue: true },
      { id: 'users', path: '/api/users' },
      { id: 'rest', path: '/**' },
    ];
    expect(found(rules, 'GET /api/users')).toEqual(['all', 'users']);
    expect(found(rules, 'GET /api/posts')).toEqual(['all', 'api', 'rest']);
    expect(found(rules, 'GET /')).toEqual(['all', 'rest']);
  });
});

describe('The rules of a route', () => {
  const idsOf = (book: ReturnType<typeof bookOf>, method: string, template: string): string[] =>
    book
      .forRoute(method, template)
      .map(({ rule, always }) => `${rule.id} ${always ? 'always' : 'sometimes'}`);

  it('are those that apply to some of its requests, up to one that applies to all and does not continue', () => {
    const book = bookOf(
      { id: 'me', path: '/users/me' },
      { id: 'users', path: '/users/**', method: 'GET' },
      { id: 'posts', path: '/posts/**' },
      { id: 'all' },
    );
    expect(idsOf(book, 'GET', '/users/:id')).toEqual(['me sometimes', 'users always']);
    expect(idsOf(book, 'POST', '/users/:id')).toEqual(['me sometimes', 'all always']);
    expect(idsOf(book, 'GET', '/users/:id/x')).toEqual(['users always']);
    expect(idsOf(book, 'GET', '/')).toEqual(['all always']);
  });

  it('apply to its requests like those of any path', () => {
    const book = bookOf(
      { id: 'me', path: '/users/me', continue: true },
      { id: 'users', path: '/users/**' },
      { id: 'all' },
    );
    const rules = book.forRoute('GET', '/users/:id');
    expect(policiesFor(rules, splitPath('/users/me'))).toEqual(['me', 'users']);
    expect(policiesFor(rules, splitPath('/users/ME'))).toEqual(['me', 'users']);
    expect(policiesFor(rules, splitPath('/users/1'))).toEqual(['users']);
  });

  it('end with the first that matches a request and does not continue', () => {
    const rules = bookOf({ id: 'me', path: '/users/me' }, { id: 'all' }).forRoute('GET', '/users/:id');
    expect(policiesFor(rules, splitPath('/users/me'))).toEqual(['me']);
    expect(policiesFor(rules, splitPath('/users/1'))).toEqual(['all']);
  });

  it('that apply together with one are those that cover it and are tried with it', () => {
    const book = bookOf(
      { id: 'wide', path: '/**', priority: 2, continue: true },
      { id: 'posting', path: '/**', priority: 1, method: 'POST', continue: true },
      { id: 'key', path: '/api/**', continue: true },
      { id: 'narrow', path: '/api/x', continue: true },
      { id: 'last', path: '/*/**' },
      { id: 'never', path: '/**' },
    );
    const beside = (id: string): string[] => {
      const rule = book.compiled.find((one) => one.id === id);
      return rule === undefined ? [] : book.beside(rule).map((one) => one.id);
    };
    expect(beside('narrow')).toEqual(['wide', 'key', 'last']);
    expect(beside('key')).toEqual(['wide', 'last']);
    expect(beside('posting')).toEqual(['wide']);
    expect(beside('never')).toEqual(['wide']);
  });

  it('that apply together with one can follow others that would end the search, and match all of its methods', () => {
    const book = bookOf(
      { id: 'elsewhere', path: '/elsewhere', priority: 3 },
      { id: 'reading', path: '/**', priority: 2, method: 'GET', continue: true },
      { id: 'both', path: '/**', priority: 1, method: ['GET', 'POST'], continue: true },
      { id: 'rule', path: '/api', method: ['GET', 'POST'] },
    );
    const rule = book.compiled.find(({ id }) => id === 'rule');
    expect(rule && book.beside(rule).map(({ id }) => id)).toEqual(['both']);
  });
});

describe('A rule', () => {
  it('declares its limits under its id, and counts all matching requests together by default', () => {
    const levels: unknown[] = [];
    const rules: AnyRule[] = [
      { id: 'a', path: '/', limits: '5/minute' },
      { id: 'b', path: '/', limits: '5/minute', name: 'other', scope: 'global', cost: 2 },
      { id: 'c', path: '/', limits: '5/minute', ...({ name: undefined } as object) },
    ];
    new RuleBook(rules, (level) => {
      levels.push(level);
      return [];
    });
    expect(levels).toEqual([
      {
        where: 'The rule "a"',
        scope: 'rule a',
        declarations: [{ name: 'a', limits: '5/minute' }],
        skips: [],
      },
      {
        where: 'The rule "b"',
        scope: 'rule b',
        declarations: [{ name: 'other', limits: '5/minute', scope: 'global', cost: 2 }],
        skips: [],
      },
      {
        where: 'The rule "c"',
        scope: 'rule c',
        declarations: [{ name: 'c', limits: '5/minute' }],
        skips: [],
      },
    ]);
  });

  it('with the scope "route" counts each route apart, once compiled, and no request without a route', () => {
    const levels: { readonly scope: string; readonly declarations: readonly unknown[] }[] = [];
    const book = new RuleBook<string, AnyRule['key'], string>(
      [{ id: 'a', path: '/a/**', limits: '5/minute', scope: 'route', continue: true }],
      (level) => {
        levels.push(level);
        return [level.scope];
      },
    );
    const [rule] = book.compiled;
    const path = splitPath('/a/b');
    expect(book.forRequest('GET', path, 'GET /a/b')).toEqual(['rule a GET /a/b']);
    expect(book.forRequest('GET', path, 'POST /a/:id')).toEqual(['rule a POST /a/:id']);
    expect(book.forRequest('GET', path)).toEqual([]);
    expect(policiesFor(book.forRoute('GET', '/a/:id'), path, 'GET /a/b')).toEqual(['rule a GET /a/b']);
    expect([rule?.isPerRoute, rule?.policies]).toEqual([true, ['rule a']]);
    expect(levels.map(({ scope }) => scope)).toEqual(['rule a', 'rule a GET /a/b', 'rule a POST /a/:id']);
    expect(levels.map(({ declarations }) => declarations)).toEqual(
      Array(3).fill([{ name: 'a', limits: '5/minute' }]),
    );
    expect(bookOf({}).compiled[0]?.isPerRoute).toBe(false);
  });

  it.each<[string, unknown, string]>([
    ['no object', null, 'The rule at 0 must be an object; got null.'],
    [
      'no id',
      { id: undefined },
      'The id of the rule at 0 must begin with a letter and hold letters, digits, "_", "." and "-" only; got undefined.',
    ],
    [
      'an id with a quotation mark',
      { id: 'a"' },
      'The id of the rule at 0 must begin with a letter and hold letters, digits, "_", "." and "-" only; got the string "a\\"".',
    ],
    [
      'an id that would fill a header field',
      { id: 'a'.repeat(101) },
      `The id of the rule at 0 must have at most 100 characters; got the string "${'a'.repeat(77)}..." (101 characters).`,
    ],
    [
      'a list of methods with nothing in it',
      { method: [undefined] },
      'The rule "rule0": a method is "GET", "POST" or another, or "*" for all; got undefined.',
    ],
    [
      'a path without a slash',
      { path: 'api/**' },
      'The rule "rule0": A path begins with "/", such as "/api/**"; got the string "api/**".',
    ],
    [
      'a path that would take long to match',
      { path: '/*a*' },
      'The rule "rule0": A segment of a path is "*", ":name" or "**", or text with at most one "*", and with "?", "[…]" and "{a,b}"; got the string "*a*".',
    ],
    [
      'an empty method',
      { method: '' },
      'The rule "rule0": a method is "GET", "POST" or another, or "*" for all; got the string "".',
    ],
    [
      'no method',
      { method: [] },
      'The rule "rule0": a method is "GET", "POST" or another, or "*" for all; got none.',
    ],
    [
      'a method in a sentence',
      { method: 'GET, POST' },
      'The rule "rule0": a method is "GET", "POST" or another, or "*" for all; got the string "GET, POST".',
    ],
    [
      'a method that is a number',
      { method: [1] },
      'The rule "rule0": a method is "GET", "POST" or another, or "*" for all; got the number 1.',
    ],
    [
      'a priority in words',
      { priority: 'high' },
      'The rule "rule0": "priority" must be a number; got the string "high".',
    ],
    [
      'a priority that is none',
      { priority: NaN },
      'The rule "rule0": "priority" must be a number; got the number NaN.',
    ],
    [
      'a continue in words',
      { continue: 'yes' },
      'The rule "rule0": "continue" must be true or false; got the string "yes".',
    ],
    [
      'the scope of a controller',
      { scope: 'controller' },
      'The rule "rule0": a rule has no controller. Its scope is "route", "global" or another name; by default all it matches share one count.',
    ],
    [
      'an id that begins with a digit',
      { id: '1st' },
      'The id of the rule at 0 must begin with a letter and hold letters, digits, "_", "." and "-" only; got the string "1st".',
    ],
    [
      'a rate',
      { rate: '5/minute' },
      'The rule "rule0" does not know the option "rate". Give the limits as "limits".',
    ],
    [
      'an identity',
      { identity: 'ip' },
      'The rule "rule0" does not know the option "identity". Give the identity as "key".',
    ],
    [
      'an unknown option',
      { methods: 'GET' },
      'The rule "rule0" does not know the option "methods". Known options: id, method, path, priority, continue, limits, ',
    ],
  ])('that has %s throws with the fix', (_mistake, rule, message) => {
    const call = (): unknown =>
      rule === null ? new RuleBook([null as never], () => []) : bookOf(rule as Partial<AnyRule>);
    expect(call).toThrow(ConfigurationError);
    expect(call).toThrow(message);
  });

  it('with the id of another throws, before any is compiled', () => {
    let compiled = 0;
    const rule: AnyRule = { id: 'a', path: '/', limits: '5/minute' };
    const call = (): unknown =>
      new RuleBook([rule, { ...rule, path: '/b' }], () => {
        compiled++;
        return [];
      });
    expect(call).toThrow('There are two rules "a". Give each an id of its own.');
    expect(compiled).toBe(0);
  });
});
