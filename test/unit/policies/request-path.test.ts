import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { requestPath } from '../../../lib/policies/request-path.js';

describe('The path of a request', () => {
  it.each([
    ['/', '/'],
    ['', '/'],
    ['/a', '/a'],
    ['/a/', '/a'],
    ['//a///b//', '/a/b'],
    ['/a?b=/c', '/a'],
    ['/a#b/c', '/a'],
    ['/a/?b', '/a'],
    ['?a', '/'],
    ['*', '/*'],
    ['/%61/b', '/a/b'],
    ['/%61%20b', '/a b'],
    ['/a%3Fb', '/a?b'],
    ['/a%2Fb', '/a%2Fb'],
    ['/a%2fb', '/a%2Fb'],
    ['/%2561', '/%61'],
    ['/caf%C3%A9', '/café'],
    ['/%zz/%61', '/%zz/a'],
    ['/%', '/%'],
    ['/a%0Ab', '/a\nb'],
    ['/a/../b/./c', '/a/../b/./c'],
    ['/%2e%2E/a', '/../a'],
    ['/A/b', '/A/b'],
    ['/a;b=c', '/a;b=c'],
    ['http://example.org/a/b?c', '/a/b'],
    ['HTTP://example.org', '/'],
    ['http://example.org?a', '/'],
    ['https://user@[::1]:80//a', '/a'],
    ['h2+x.y-z://example.org/a', '/a'],
    ['/http://a', '/http:/a'],
    ['/http://a/b', '/http:/a/b'],
    ['2h://a/b', '/2h:/a/b'],
    ['/a\n/b?c\nd', '/a\n/b'],
    ['/a#b?c', '/a'],
  ])('has one spelling: %s', (url, path) => {
    expect(requestPath(url)).toBe(path);
  });

  it('is found for anything that may be sent, and begins with a slash', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webUrl(), fc.string({ unit: 'binary' })), (url) => {
        const path = requestPath(url);
        expect(path.startsWith('/')).toBe(true);
        expect(path === '/' || !path.endsWith('/')).toBe(true);
        expect(path.includes('//')).toBe(false);
      }),
    );
  });
});
