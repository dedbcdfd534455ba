import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ConfigurationError } from 'nestjs-limits';
import { splitPath } from '../../../lib/policies/request-path.js';
import { PathPattern } from '../../../lib/policies/path-pattern.js';

const matches = (pattern: string, path: string): boolean => new PathPattern(pattern).matches(splitPath(path));

/** CPU time, which other processes do not extend, in µs. A pattern that backtracks takes minutes. */
const MAX_CPU_US = 2_000_000;

describe('A pattern of paths', () => {
  it.each<[pattern: string, matching: string[], others: string[]]>([
    ['/', ['/'], ['/a']],
    ['/users', ['/users', '/USERS', '/Users'], ['/', '/user', '/users/1', '/xusers']],
    ['/users/*', ['/users/1', '/users/a.b', '/users/.hidden'], ['/users', '/users/1/2']],
    ['/users/:id', ['/users/1', '/users/:id'], ['/users', '/users/1/2']],
    ['/users/*/posts', ['/users/1/posts', '/users/../posts'], ['/users/posts', '/users/1/2/posts']],
    ['/api/**', ['/api', '/api/a', '/api/a/b/c'], ['/', '/apis', '/a/api']],
    ['/**', ['/', '/a', '/a/b/c'], []],
    ['/**/admin', ['/admin', '/a/admin', '/a/b/admin'], ['/admin/a', '/xadmin']],
    ['/a/**/b', ['/a/b', '/a/x/b', '/a/x/y/b', '/a/b/b'], ['/a', '/a/b/c', '/b']],
    ['/**/a/**/b', ['/a/b', '/x/a/y/a/z/b'], ['/b/a', '/x/b']],
    [
      '/files/*.json',
      ['/files/a.json', '/files/.json', '/FILES/A.JSON'],
      ['/files/a.xml', '/files/a/b.json'],
    ],
    ['/ab*ba', ['/abba', '/abxba'], ['/aba', '/ab', '/xabba']],
    ['/files/:name.json', ['/files/a.json'], ['/files/a.xml', '/files/:name.xml']],
    ['/v{1,2}/users', ['/v1/users', '/V2/users'], ['/v3/users', '/v/users']],
    ['/v[12]/users', ['/v1/users', '/v2/users'], ['/v3/users']],
    ['/v?/users', ['/v1/users', '/v9/users'], ['/v/users', '/v10/users']],
    ['/?x', ['/ax', '/.x'], ['/x', '/abx']],
    ['/!v?', ['/!v1'], ['/v1', '/x']],
    ['/@me/+1/!x/$y/a-b_c~', ['/@me/+1/!x/$y/a-b_c~'], ['/me/1/x/y/a-b_c~']],
    ['/café', ['/café', '/CAFÉ'], ['/cafe']],
    ['/caf%C3%A9', ['/café', '/caf%c3%a9'], ['/caf%25C3%25A9']],
    ['/a%2Fb', ['/a%2Fb', '/a%2fb'], ['/a/b']],
  ])('%s matches its paths and no others', (pattern, matching, others) => {
    expect(matching.filter((path) => !matches(pattern, path))).toEqual([]);
    expect(others.filter((path) => matches(pattern, path))).toEqual([]);
  });

  it.each([
    '\n',
    '\r\n',
    '\u2028',
    '\0',
    '.',
    '..',
    '...',
    '\\',
    '*',
    '**',
    ' ',
    '😀',
    '%',
    '[',
    '__proto__',
  ])('matches every segment by "*" and "**": %j', (segment) => {
    expect(matches('/api/*', `/api/${segment}`)).toBe(true);
    expect(matches('/api/**', `/api/${segment}`)).toBe(true);
    expect(matches('/api/**', `/api/a/${segment}/b`)).toBe(true);
    expect(matches('/api/*/b', `/api/${segment}/b`)).toBe(true);
  });

  it('matches line breaks in a part of a segment', () => {
    expect(matches('/api/x*', '/api/x\ny')).toBe(true);
    expect(matches('/api/*.json', '/api/\n.json')).toBe(true);
    expect(matches('/api/x?y', '/api/x\ny')).toBe(true);
    expect(matches('/api/{x,y}*', '/api/x\ny')).toBe(true);
  });

  it.each([
    ['K', '\u212A'], // the Kelvin sign, whose lower case is "k", as Fastify may ignore case
    ['k', '\u212A'],
    ['ς', 'σ'],
    ['Σ', 'ς'],
  ])('treats letters as equal if some router does: %s and %s', (one, other) => {
    expect(matches(`/${one}`, `/${other}`)).toBe(true);
    expect(matches(`/${other}`, `/${one}`)).toBe(true);
  });

  it.each([
    ['', 'the string ""'],
    ['users', 'the string "users"'],
    ['**', 'the string "**"'],
    [undefined, 'undefined'],
    [/^a/, 'an object (RegExp)'],
  ])('begins with a slash: %p', (text, description) => {
    const call = (): PathPattern => new PathPattern(text as never);
    expect(call).toThrow(ConfigurationError);
    expect(call).toThrow(`A path begins with "/", such as "/api/**"; got ${description}.`);
  });

  it.each(['a*b*c', ':a-:b', '***', '**a', '(a|b)', 'a+(b)', '{a,b}+', '(a*)+', '*\\d', '@(a|b)'])(
    'throws if it would be slow, or is not a glob: %s',
    (segment) => {
      const call = (): PathPattern => new PathPattern(`/api/${segment}`);
      expect(call).toThrow(ConfigurationError);
      expect(call).toThrow(
        'A segment of a path is "*", ":name" or "**", or text with at most one "*", and with "?", "[…]" and "{a,b}"; ' +
          `got the string ${JSON.stringify(segment)}.`,
      );
    },
  );

  it.each(['{a,aa}{a,aa}{a,aa}{a,aa}{a,aa}{a,aa}{a,aa}', '{,a}{,a}{,a}{,a}{,a}{,a}{,a}'])(
    'throws if its braces expand to more than a hundred texts: %s',
    (segment) => {
      const call = (): PathPattern => new PathPattern(`/api/${segment}`);
      expect(call).toThrow(ConfigurationError);
      expect(call).toThrow(
        `A segment of a path has braces that stand for too many texts: got "${segment}". Make several rules of it.`,
      );
    },
  );

  it('accepts a long list in braces, and several short ones', () => {
    const words = Array.from({ length: 100 }, (_, index) => `w${index}`);
    expect(matches(`/{${words.join()}}`, '/w99')).toBe(true);
    expect(matches('/{a,b}-{c,d}.{json,xml}', '/b-c.xml')).toBe(true);
  });

  it.each(['{a,b', '[z-a]'])('throws if it would match nothing, since it cannot be parsed: %s', (segment) => {
    const call = (): PathPattern => new PathPattern(`/api/${segment}`);
    expect(call).toThrow(ConfigurationError);
    expect(call).toThrow(
      `A segment of a path has a "{" or a "[" without its end, or a range that is none: got "${segment}". Write "{a,b}" or "[a-z]".`,
    );
  });

  it('throws if it is longer than any path', () => {
    expect(() => new PathPattern(`/${'?'.repeat(70_000)}`)).toThrow(
      new ConfigurationError(
        `A path has at most 1000 characters; got the string "/${'?'.repeat(76)}..." (70001 characters).`,
      ),
    );
  });

  it('is compared quickly with templates and patterns, however many times either has "**"', () => {
    const pattern = new PathPattern('/**/a'.repeat(200));
    const start = process.cpuUsage();
    expect(pattern.matchesOf(`${'/a'.repeat(200)}/b`)).toBe('none');
    expect(pattern.matchesOf('/a'.repeat(200))).toBe('all');
    expect(pattern.covers(new PathPattern(`${'/a'.repeat(200)}/b`))).toBe(false);
    expect(pattern.covers(new PathPattern('/a'.repeat(201)))).toBe(true);
    expect(process.cpuUsage(start).user).toBeLessThan(MAX_CPU_US);
  });

  it('matches quickly, for any path', () => {
    const patterns = [
      '/**/a/**/a/**/a/**/b',
      '/**/*/*/*/*/b',
      '/*a',
      '/a*b',
      '/{a,aa,aaa}*b',
      '/**/a*b/**/c',
    ];
    const paths = [
      '/a'.repeat(8000),
      `/${'a'.repeat(16_000)}`,
      '/'.repeat(16_000),
      `/${'aab'.repeat(5000)}x/`,
    ];
    const start = process.cpuUsage();
    for (const pattern of patterns) {
      for (const path of paths) expect(matches(pattern, path)).toBe(matches(pattern, path));
    }
    expect(process.cpuUsage(start).user).toBeLessThan(MAX_CPU_US);
  });
});

describe('The requests of a route', () => {
  it.each<[pattern: string, template: string, matching: 'all' | 'some' | 'none']>([
    ['/users', '/users', 'all'],
    ['/Users', '/uSERS/', 'all'],
    ['/users', '/user', 'none'],
    ['/users/*', '/users/:id', 'all'],
    ['/users/:any', '/users/:id', 'all'],
    ['/users/me', '/users/:id', 'some'],
    ['/users/m*', '/users/:id', 'some'],
    ['/users/m*', '/users/me', 'all'],
    ['/users/m*', '/users/you', 'none'],
    ['/users/*', '/users', 'none'],
    ['/users/*', '/users/:id/posts', 'none'],
    ['/users/**', '/users/:id/posts', 'all'],
    ['/**', '/', 'all'],
    ['/**', '/*path', 'all'],
    ['/api/**', '/*path', 'some'],
    ['/api/**', '/api/*path', 'all'],
    ['/api/**', '/api/*', 'all'],
    ['/api/*/x', '/api/*path', 'some'],
    ['/', '/*path', 'some'],
    ['/api', '/apis/*path', 'none'],
    ['/a/b', '/*path/c', 'none'],
    ['/a/b', '/*path/b', 'some'],
    ['/users/me', '/:kind/:id', 'some'],
    ['/a', '/a{/:id}', 'some'],
    ['/a', '/a/:id?', 'some'],
    ['/a/b', '/a/:id(\\d+)', 'some'],
    ['/a/b', '/a/:from-:to', 'some'],
    ['/a/*', '/a/:from-:to', 'all'],
    ['/files/x/b', '/files/prefix*rest', 'some'],
    ['/v1/users', '/v1/users', 'all'],
    ['/café', '/caf%C3%A9', 'all'],
    ['/caf%C3%A9', '/café', 'all'],
    ['/a', '/a\\:b', 'some'],
  ])('match %s by the template %s: %3$s', (pattern, template, matching) => {
    expect(new PathPattern(pattern).matchesOf(template)).toBe(matching);
  });

  const names = fc.constantFrom('a', 'b', 'A', 'ab', 'caf%C3%A9', '..');
  const patterns = fc
    .array(fc.oneof(names, fc.constantFrom('*', ':x', '**', 'a*', '{a,b}', '?', '*b')), { maxLength: 5 })
    .map((segments) => `/${segments.join('/')}`);
  const sent = fc.oneof(names, fc.constantFrom('zz', 'a%0Ab', '%61', 'B', 'a%2Fb', 'a//', '%', 'é'));
  /** A segment of a template, and segments of a request for it. */
  const templateSegments = fc.oneof(
    names.map((name) => [name, fc.constantFrom(name, name.toUpperCase(), `${name}/`)] as const),
    fc.constantFrom(':p', '::q').map((name) => [name, sent] as const),
    fc
      .constantFrom('*', '*w')
      .map(
        (name) => [name, fc.array(sent, { minLength: 1, maxLength: 3 }).map((all) => all.join('/'))] as const,
      ),
    fc.constant(['a-:p', sent.map((value) => `a-${value}`)] as const),
    fc.constant(['a*rest', sent.map((value) => `a${value}/x`)] as const),
    fc.constant(['{:p}', fc.oneof(sent, fc.constant(''))] as const),
  );
  const routes = fc.array(templateSegments, { maxLength: 4 }).chain((segments) =>
    fc.record({
      template: fc.constant(`/${segments.map(([name]) => name).join('/')}`),
      url: fc.tuple(...segments.map(([, values]) => values)).map((values) => `/${values.join('/')}`),
    }),
  );

  it('are all or none of them if that is known', () => {
    const seen = { all: 0, some: 0, none: 0 };
    fc.assert(
      fc.property(patterns, routes, (text, { template, url }) => {
        const pattern = new PathPattern(text);
        const said = pattern.matchesOf(template);
        seen[said]++;
        if (said !== 'some') expect([url, pattern.matches(splitPath(url))]).toEqual([url, said === 'all']);
      }),
      { numRuns: 5000 },
    );
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(100);
  });

  it('include at least those of a covered pattern', () => {
    const paths = fc.array(sent, { maxLength: 5 }).map((segments) => splitPath(`/${segments.join('/')}`));
    fc.assert(
      fc.property(patterns, patterns, paths, (one, other, path) => {
        const [wide, narrow] = [new PathPattern(one), new PathPattern(other)];
        if (wide.covers(narrow) && narrow.matches(path)) expect(wide.matches(path)).toBe(true);
        expect(wide.covers(wide)).toBe(true);
      }),
      { numRuns: 5000 },
    );
  });
});

describe('A pattern', () => {
  it.each([
    ['/*', '/a*', true],
    ['/a*', '/*', false],
    ['/a*', '/a*', true],
    ['/a*', '/ab', true],
    ['/*', '/**', false],
    ['/**', '/a/*', true],
  ])('%s covers %s: %p', (wide, narrow, covers) => {
    expect(new PathPattern(wide).covers(new PathPattern(narrow))).toBe(covers);
  });
});

describe('The more specific of two patterns', () => {
  const inOrder = [
    '/a/b/c',
    '/a/b',
    '/a/b/**',
    '/a/x*',
    '/a/*/c',
    '/a/*',
    '/a/**/c',
    '/a',
    '/a/**',
    '/*/b',
    '/*',
    '/**/c',
    '/',
    '/**',
  ];

  it('is the one with fewer wildcards where they first differ', () => {
    const compare = (one: string, two: string): number =>
      new PathPattern(one).compareTo(new PathPattern(two));
    expect(compare('/a/b', '/a/*')).toBeLessThan(0);
    expect(compare('/a/*', '/a/:id')).toBe(0);
    expect(compare('/a/*', '/a/**')).toBeLessThan(0);
    expect(compare('/a', '/a/**')).toBeLessThan(0);
    expect(compare('/a/b', '/a')).toBeLessThan(0);
    expect(compare('/a/*', '/*/b')).toBeLessThan(0);
    expect(compare('/a/x*', '/a/*')).toBeLessThan(0);
    expect(compare('/a/x', '/a/x*')).toBeLessThan(0);
    expect(compare('/b', '/a')).toBe(0);
    expect(compare('/', '/**')).toBeLessThan(0);
  });

  it('is the same in every sort order', () => {
    const sorted = (texts: readonly string[]): number[][] => {
      const patterns = texts.map((text) => new PathPattern(text)).sort((one, two) => one.compareTo(two));
      return patterns.map((one) => patterns.map((two) => Math.sign(one.compareTo(two))));
    };
    const expected = sorted(inOrder);
    for (const [row, signs] of expected.entries()) {
      for (const [column, sign] of signs.entries())
        expect(Math.max(0, sign)).toBe(row > column ? Math.abs(sign) : 0);
    }
    fc.assert(
      fc.property(fc.shuffledSubarray(inOrder, { minLength: inOrder.length }), (shuffled) => {
        expect(sorted(shuffled)).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });
});
