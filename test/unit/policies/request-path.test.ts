import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { resolvedPaths, splitPath, targetReadings } from '../../../lib/policies/request-path.js';

const textOf = (path: readonly string[]): string => `/${path.join('/')}`;
const readings = (target: string): string[] => targetReadings(target).map(textOf);

describe('The segments of a path', () => {
  it.each([
    ['/', '/'],
    ['', '/'],
    ['/a', '/A'],
    ['/a/', '/A'],
    ['//a///b//', '/A/B'],
    ['/%61/b', '/A/B'],
    ['/%61%20b', '/A B'],
    ['/a%3Fb', '/A?B'],
    ['/a%2Fb', '/A%2FB'],
    ['/a%2fb', '/A%2FB'],
    ['/%2561', '/%61'],
    ['/caf%C3%A9', '/CAFÉ'],
    ['/%zz/%61', '/%ZZ/A'],
    ['/%ff/%61%2fb', '/\uFFFD/A%2FB'],
    ['/%/é', '/%/É'],
    ['/%', '/%'],
    ['/a%0Ab', '/A\nB'],
    ['/a/../b/./c', '/A/../B/./C'],
    ['/%2e%2E/a', '/../A'],
    ['/a;b=c', '/A;B=C'],
    ['/http://a/b', '/HTTP:/A/B'],
    ['/\u212A/ß', '/K/SS'],
  ])('are decoded and lower-cased: %s', (path, segments) => {
    expect(textOf(splitPath(path))).toBe(segments);
  });
});

describe('The readings of a request target', () => {
  it.each<[target: string, readings: string[]]>([
    ['/', ['/']],
    ['/a/b?c/d', ['/A/B']],
    ['/a#b/c', ['/A']],
    ['/a#b?c', ['/A']],
    ['/a\n/b?c\nd', ['/A\n/B']],
    ['/a\\b', ['/A\\B']],
    ['/a/', ['/A', '/A/']],
    ['//a//b', ['/A/B', '//A//B']],
    ['/a;b=c/d', ['/A;B=C/D', '/A']],
    ['/a?b;c', ['/A']],
    ['http://h/a/b?c', ['/A/B']],
    ['HTTP://h', ['/']],
    ['http://h?x/a/b', ['/', '/A/B']],
    ['http://h#x/a', ['/', '/A']],
    ['http://h;x/a', ['/A']],
    ['https://user@[::1]:80//a', ['/A', '//A']],
    ['h2+x.y-z://h/a', ['/A']],
    ['http:///a', ['/A']],
    ['http://h\\x/a', ['/A', '/X/A']],
    ['http://h?x/a;b', ['/', '/A;B', '/A']],
    ['*', ['/*']],
    ['*/a', ['/*/A']],
    ['?a', ['/']],
    ['2h://a/b', ['/2H:/A/B', '/2H://A/B']],
    ['h:80', ['/H:80']],
  ])('are all paths that some router derives from it: %s', (target, expected) => {
    expect(readings(target)).toEqual(expected);
  });

  it('begin with one without empty segments, for any path', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webUrl(), fc.string({ unit: 'binary' })), (target) => {
        expect(targetReadings(target)[0]).not.toContain('');
      }),
    );
  });
});

describe('The path that a static file handler reads', () => {
  it.each<[path: string, resolved: string[]]>([
    ['/a/b', []],
    ['/a/.b/c..', []],
    ['/a/../b', ['/B']],
    ['/a/./b', ['/A/B']],
    ['/..', ['/']],
    ['/a/..%2fb', ['/B']],
    ['/a/%2e%2e%2Fb', ['/B']],
    ['/a/..%5cb', ['/B']],
    ['/a/..\\b', ['/B']],
    ['/a/..%252fb', ['/B']],
    ['/a%2Fb', ['/A/B']],
    ['/a/..%2f..%2f..%2fb', ['/B']],
    ['/%2F%2Fa', ['/A']],
  ])('has its slashes decoded and its dots resolved: %s', (path, resolved) => {
    expect(resolvedPaths([splitPath(path)]).map(textOf)).toEqual(resolved);
  });
});
