import { describe, expect, it } from '@jest/globals';
import { ConfigurationError, type ResilienceOptions } from 'nestjs-limits';
import { resolveResilience } from '../../../lib/resilience/resilience.options.js';

const DEFAULTS = {
  timeout: 50,
  onError: 'fallback',
  instances: 1,
  failureThreshold: 5,
  failureWindow: 10_000,
  probeInterval: 500,
  denialCache: true,
  lease: false,
  startWithoutStore: true,
};

describe('The options of resilience', () => {
  it.each<[string, ResilienceOptions | false | undefined, unknown]>([
    ['have defaults', undefined, DEFAULTS],
    ['may all be left out', {}, DEFAULTS],
    ['may be undefined', { timeout: undefined, lease: undefined }, DEFAULTS],
    ['may be switched off', false, false],
    ['are taken one by one', { timeout: 30, instances: 4 }, { ...DEFAULTS, timeout: 30, instances: 4 }],
    [
      'have leases of automatic size by its name',
      { lease: { size: 'auto' } },
      { ...DEFAULTS, lease: { size: 'auto', maxError: 0.05 } },
    ],
    [
      'have leases of automatic size',
      { lease: {} },
      { ...DEFAULTS, lease: { size: 'auto', maxError: 0.05 } },
    ],
    [
      'have leases of a size',
      { lease: { size: 10, maxError: 1 } },
      { ...DEFAULTS, lease: { size: 10, maxError: 1 } },
    ],
  ])('%s', (_what, given, resolved) => {
    expect(resolveResilience(given)).toEqual(resolved);
  });

  it.each<[string, unknown, string]>([
    [
      'an option that is not known',
      { retries: 3 },
      'does not know the option "retries". Known options: timeout,',
    ],
    [
      'a timeout of 0',
      { timeout: 0 },
      '"resilience.timeout" must be a whole number, at least 1; got the number 0.',
    ],
    [
      'a timeout of more than an hour',
      { timeout: 3e9 },
      '"resilience.timeout" must be at most 3600000 ms; got the number 3000000000.',
    ],
    [
      'half an instance',
      { instances: 0.5 },
      '"resilience.instances" must be a whole number, at least 1; got the number 0.5.',
    ],
    [
      'a mode that is not known',
      { onError: 'retry' },
      '"resilience.onError" must be one of "allow", "fallback", "deny"; got the string "retry".',
    ],
    [
      'a threshold of 0',
      { failureThreshold: 0 },
      '"resilience.failureThreshold" must be a whole number, at least 1; got the number 0.',
    ],
    [
      'a window of more than an hour',
      { failureWindow: 3_600_001 },
      '"resilience.failureWindow" must be at most 3600000 ms; got the number 3600001.',
    ],
    ['a denialCache of options', { denialCache: {} }, '"resilience.denialCache" must be true or false; got '],
    [
      'a lease that is no object',
      { lease: true },
      '"resilience.lease" must be an object; got the boolean true.',
    ],
    ['an option of leases that is not known', { lease: { k: 10 } }, 'does not know the option "k"'],
    [
      'a lease of one permit',
      { lease: { size: 1 } },
      '"resilience.lease.size", if not "auto", must be a whole number, at least 2; got the number 1.',
    ],
    [
      'an error of nothing',
      { lease: { maxError: 0 } },
      'above 0 and up to 1, such as 0.05 for 5 %; got the number 0.',
    ],
    [
      'an error in per cent',
      { lease: { maxError: 5 } },
      'above 0 and up to 1, such as 0.05 for 5 %; got the number 5.',
    ],
  ])('refuse %s', (_what, given, message) => {
    const resolve = (): unknown => resolveResilience(given as ResilienceOptions);
    expect(resolve).toThrow(ConfigurationError);
    expect(resolve).toThrow(message);
  });
});
