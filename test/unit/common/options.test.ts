import { describe, expect, it } from '@jest/globals';
import { ConfigurationError } from 'nestjs-limits';
import { assertKnownOptions, assertOptionsObject, assertWholeNumber } from '../../../lib/common/options.js';

describe('assertKnownOptions', () => {
  const known = ['clock', 'keyPrefix'];

  it.each([{}, { clock: 1 }, { keyPrefix: 'a', clock: undefined }])('accepts %j', (given) => {
    expect(() => assertKnownOptions('The storage', given, known)).not.toThrow();
  });

  it('names the unknown option and the known ones', () => {
    expect(() => assertKnownOptions('The storage', { clock: 1, prefix: 'a' }, known)).toThrow(
      new ConfigurationError(
        'The storage does not know the option "prefix". Known options: clock, keyPrefix.',
      ),
    );
  });

  it('gives a hint for an option that is known elsewhere', () => {
    const hints = { ttl: 'Put it into the limit.' };

    expect(() => assertKnownOptions('The storage', { ttl: 1 }, known, hints)).toThrow(
      new ConfigurationError('The storage does not know the option "ttl". Put it into the limit.'),
    );
    expect(() => assertKnownOptions('The storage', { toString: 1 }, known, hints)).toThrow(
      'The storage does not know the option "toString". Known options: clock, keyPrefix.',
    );
  });

  it('also throws for an unknown option that is undefined, since its name is wrong', () => {
    expect(() => assertKnownOptions('The storage', { prefix: undefined }, known)).toThrow(ConfigurationError);
  });
});

describe('assertWholeNumber', () => {
  it.each([1, 2, Number.MAX_SAFE_INTEGER])('accepts %p for a minimum of 1', (value) => {
    expect(() => assertWholeNumber('The size', value, 1)).not.toThrow();
  });

  it.each<[unknown, string]>([
    [0, 'the number 0'],
    [-1, 'the number -1'],
    [1.5, 'the number 1.5'],
    [2 ** 53, 'the number 9007199254740992'],
    ['2', 'the string "2"'],
    [2n, 'the bigint "2"'],
    [undefined, 'undefined'],
    [null, 'null'],
    [[2], 'an array'],
    [true, 'the boolean true'],
  ])('throws for %p', (value, described) => {
    expect(() => assertWholeNumber('The size', value, 1)).toThrow(
      new ConfigurationError(`The size must be a whole number, at least 1; got ${described}.`),
    );
  });

  it.each([Number.NaN, Infinity, -Infinity])('throws for %p', (value) => {
    expect(() => assertWholeNumber('The size', value, 0)).toThrow(ConfigurationError);
  });
});

describe('assertOptionsObject', () => {
  it.each([{}, { a: 1 }, Object.create(null), new Map()])('accepts %p', (value) => {
    expect(() => assertOptionsObject('The options', value)).not.toThrow();
  });

  it.each<[unknown, string]>([
    [undefined, 'undefined'],
    [null, 'null'],
    ['10/minute', 'the string "10/minute"'],
    [[], 'an array'],
    [function options() {}, 'a function (options)'],
  ])('throws for %p', (value, described) => {
    expect(() => assertOptionsObject('The options', value)).toThrow(
      new ConfigurationError(`The options must be an object; got ${described}.`),
    );
  });
});
