import { describe, expect } from '@jest/globals';
import fc from 'fast-check';
import { ConfigurationError } from 'nestjs-limits';
import { resolvedPaths, splitPath, targetReadings } from '../../lib/policies/request-path.js';
import { RouteTemplate } from '../../lib/policies/route-template.js';
import { PathPattern } from '../../lib/policies/path-pattern.js';
import { anything, anyText, fuzz, long, refusalOf } from './fuzz.js';

const segments = fc.constantFrom(
  ...['a', 'A', 'aa', 'b', 'users', 'ß', 'İ', '', '.', '..', '%41', '%2F', '%', '%zz', '%00', '\0'],
  ...[
    '*',
    '**',
    '***',
    ':id',
    ':',
    ':a:b',
    '*.json',
    'a*',
    '*a*',
    '?',
    '??????',
    'v[12]',
    '[a-z]',
    '[z-a]',
    '[',
  ],
  ...[
    '{a,b}',
    '{a,aa}',
    '{a,aa}{a,aa}',
    '{,a}{,a}{,a}',
    '{a,{b,c}}',
    '{{a,aa},{a,aa}}',
    '{a',
    '}',
    '{}',
    '{1..9}',
  ],
  ...[
    '!(a)',
    '+(a)',
    '@(a|b)',
    '?(a)',
    '(a)',
    '(a+)+',
    '!a',
    '[!a]',
    '[[:alpha:]]',
    '\\',
    'a|b',
    '^a$',
    '{1..99999999}',
  ],
);
const paths = fc.oneof(
  {
    weight: 10,
    arbitrary: fc
      .array(fc.oneof({ weight: 8, arbitrary: segments }, { weight: 1, arbitrary: anyText }), {
        maxLength: 8,
      })
      .map((parts) => `/${parts.join('/')}`),
  },
  // Within one segment.
  { weight: 6, arbitrary: fc.array(segments, { maxLength: 8 }).map((parts) => `/${parts.join('')}`) },
  {
    weight: 1,
    arbitrary: long(
      fc.constantFrom('/a', '/**/a', '/**', '/*', '{a,aa}', '/{a,aa}', '?', 'a', '/', '{', '['),
      20_000,
    ).map((text) => `/${text}`),
  },
);

function patternOf(text: string): PathPattern | undefined {
  let pattern: PathPattern | undefined;
  const refusal = refusalOf(() => (pattern = new PathPattern(text)));
  if (refusal !== undefined) expect(refusal).toBeInstanceOf(ConfigurationError);
  return pattern;
}

describe('Patterns of paths', () => {
  fuzz('match any path quickly, or are refused', fc.tuple(paths, paths), ([text, path]) => {
    const pattern = patternOf(text);
    expect(typeof (pattern?.matches(splitPath(path)) ?? false)).toBe('boolean');
  });

  fuzz(
    'report for any template how many of its paths they match, and agree with each path',
    fc.tuple(paths, paths),
    ([text, path]) => {
      const pattern = patternOf(text);
      if (pattern === undefined) return;
      const matched = pattern.matchesOf(path);
      expect(['all', 'some', 'none']).toContain(matched);
      // A template without placeholders is the path itself.
      if (/[:*{}()|?\\%]/.test(path)) return;
      expect(matched).toBe(pattern.matches(splitPath(path)) ? 'all' : 'none');
    },
  );

  fuzz(
    'cover themselves, and what they cover they match',
    fc.tuple(paths, paths, paths),
    ([one, two, text]) => {
      const path = splitPath(text);
      const [pattern, other] = [patternOf(one), patternOf(two)];
      if (pattern === undefined || other === undefined) return;
      expect(pattern.covers(other) && other.matches(path)).toBe(
        pattern.covers(other) && other.matches(path) && pattern.matches(path),
      );
      expect(Math.sign(pattern.compareTo(other)) + Math.sign(other.compareTo(pattern))).toBe(0);
    },
  );

  fuzz('are refused where they are no texts', anything, (value) => {
    refusalOf(() => new PathPattern(value as string));
  });
});

describe('The path of a request', () => {
  fuzz('is read from any target, without empty segments', fc.oneof(paths, anyText, long(anyText)), (url) => {
    const [first, ...others] = targetReadings(url);
    expect(first).not.toContain('');
    for (const path of resolvedPaths([first ?? [], ...others])) {
      expect(path).not.toContain('..');
      expect(path.join()).not.toContain('%2F');
    }
  });

  fuzz(
    'is filled in from any template and parameters, or is not known',
    // A template of the application is short, and so is the path that it gives.
    fc.tuple(
      fc.oneof(paths, anyText).map((template) => template.slice(0, 200)),
      fc.dictionary(fc.constantFrom('id', '*', '0', 'a', 'b'), anything),
    ),
    ([template, parameters]) => {
      refusalOf(() => {
        const path = new RouteTemplate(template).fill(parameters);
        expect(path ?? []).not.toContain('');
      });
    },
  );
});
