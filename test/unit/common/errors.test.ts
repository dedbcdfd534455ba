import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import {
  ConcurrentUpdateError,
  ConfigurationError,
  RateLimitError,
  RateLimitParseError,
  ResolverError,
  StorageError,
  WaitTimeoutError,
} from 'nestjs-limits';

describe('Every error of the library', () => {
  it.each([
    [new ConfigurationError('Wrong.'), 'ConfigurationError', 'ERR_RATE_LIMIT_CONFIGURATION'],
    [new StorageError('Wrong.'), 'StorageError', 'ERR_RATE_LIMIT_STORAGE'],
    [new ConcurrentUpdateError('Wrong.'), 'ConcurrentUpdateError', 'ERR_RATE_LIMIT_CONCURRENT_UPDATE'],
    [new ResolverError('Wrong.'), 'ResolverError', 'ERR_RATE_LIMIT_RESOLVER'],
    [new RateLimitParseError('x', 0, 'y'), 'RateLimitParseError', 'ERR_RATE_LIMIT_PARSE'],
    [new WaitTimeoutError('Wrong.', 1), 'WaitTimeoutError', 'ERR_RATE_LIMIT_WAIT'],
  ])('has a name, a code and a section in the documentation: %s', (error, name, code) => {
    expect(error).toBeInstanceOf(RateLimitError);
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe(name);
    expect(error.code).toBe(code);
    const [page = '', anchor] = error.help.split('#');
    expect(anchor).toBe(code.toLowerCase());
    expect(readFileSync(page, 'utf8')).toContain(`\n## ${code}\n`);
    expect(String(error)).toBe(`${name}: ${error.message}`);
    expect(error.stack).toMatch(new RegExp(`^${name}: `));
  });

  it('has the stack of its caller, and a ResolverError only the line of the function that failed', () => {
    const cause = new Error('No tenant.');
    const [, line = ''] = (cause.stack ?? '').split('\n');
    expect(new StorageError('Wrong.').stack).toContain('errors.test');
    expect(new ResolverError('Wrong.', { cause }).stack).toBe(`ResolverError: Wrong.\n${line}`);
    expect(new ResolverError('Wrong.').stack).toBe('ResolverError: Wrong.');
  });

  it('keeps its cause', () => {
    const cause = new Error('ECONNREFUSED');

    expect(new StorageError('The store failed.', { cause }).cause).toBe(cause);
    expect('cause' in new StorageError('The store failed.')).toBe(false);
  });
});

describe('RateLimitParseError', () => {
  it('quotes the input so that it cannot forge a line of a log', () => {
    const { message } = new RateLimitParseError('1/\nminute\u0000"', 2, 'a unit');

    expect(message).toContain(
      String.raw`Cannot read the rate limit "1/\nminute\u0000\"": expected a unit at position 2.`,
    );
    expect(message).not.toContain('\n');
  });
});
