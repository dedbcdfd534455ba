import { describe, expect, it } from '@jest/globals';
import { ConfigurationError, RateLimitModule } from 'nestjs-limits';
import { resolveOptions } from '../../../lib/nest/options/resolve-options.js';

describe('The options of RateLimitModule', () => {
  it.each([
    ['standard', 'false', 'the string "false"'],
    ['legacy', 1, 'the number 1'],
    ['retryAfter', null, 'null'],
  ])('enable and disable header fields by booleans only: %s', (name, value, described) => {
    expect(() => resolveOptions({ headers: { [name]: value } })).toThrow(
      new ConfigurationError(
        `The option "headers.${name}" of RateLimitModule must be true or false; got ${described}.`,
      ),
    );
  });

  it.each([
    [
      { reset: 'minutes' },
      'The option "headers.legacy.reset" of RateLimitModule must be one of "seconds", "epoch", "iso"; got the string "minutes".',
    ],
    [
      { perLimit: 1 },
      'The option "headers.legacy.perLimit" of RateLimitModule must be true or false; got the number 1.',
    ],
    [{ show: 5 }, 'The option "headers.legacy.show" of RateLimitModule must be a string; got the number 5.'],
    [
      { prefix: 'X-' },
      'The option "headers.legacy" of RateLimitModule does not know the option "prefix". Known options: reset, perLimit, show.',
    ],
    [
      { perLimit: true, show: 'login' },
      'The option "headers.legacy" of RateLimitModule takes "perLimit" or "show", not both: "perLimit" shows every limit.',
    ],
    [[], 'The option "headers.legacy" of RateLimitModule must be an object; got an array.'],
  ])('reject legacy header fields of the form %j', (legacy, message) => {
    expect(() => resolveOptions({ headers: { legacy } })).toThrow(new ConfigurationError(message));
  });

  it.each(['isGlobal', 'guard'])('bind the guard and export the providers by booleans only: %s', (name) => {
    const refusal = new ConfigurationError(
      `The option "${name}" of RateLimitModule must be true or false; got the string "no".`,
    );
    expect(() => RateLimitModule.forRoot({ [name]: 'no' })).toThrow(refusal);
    expect(() => RateLimitModule.forRootAsync({ [name]: 'no', useFactory: () => ({}) })).toThrow(refusal);
    expect(() => RateLimitModule.forRoot({ [name]: undefined })).not.toThrow();
  });

  it('are not read from "__proto__" in JSON', () => {
    expect(() => resolveOptions(JSON.parse('{"__proto__":{"skip":1}}'))).toThrow(
      /^RateLimitModule does not know the option "__proto__"\. Known options: storage, /,
    );
  });

  it('are quoted on one short line if they are unknown', () => {
    expect(() => resolveOptions({ [`a\n${'b'.repeat(1000)}`]: 1 })).toThrow(
      String.raw`RateLimitModule does not know the option "a\n${'b'.repeat(75)}..." (1002 characters). Known options: storage, `,
    );
  });
});
