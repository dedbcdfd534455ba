import { Controller, type ExecutionContext } from '@nestjs/common';
import { describe, expect } from '@jest/globals';
import fc from 'fast-check';
import {
  createLimit,
  loadTemporal,
  MemoryStorage,
  RateLimit,
  SkipRateLimit,
  type CreateLimitOptions,
  type Limit,
  type RateLimitInput,
  type RateLimitRule,
} from 'nestjs-limits';
import { assertKnownOptions } from '../../lib/common/options.js';
import { Plans } from '../../lib/nest/request/plans.js';
import type { InjectedFunctions } from '../../lib/nest/options/user-functions.js';
import { Warnings } from '../../lib/nest/options/warnings.js';
import type { RoutePolicy } from '../../lib/nest/routes/route-policy.js';
import { LIMITS_METADATA } from '../../lib/nest/options/rate-limit.tokens.js';
import { assertAsyncOptions, resolveOptions } from '../../lib/nest/options/resolve-options.js';
import { compilePolicies } from '../../lib/policies/compile-policies.js';
import type { Policy, PolicyLevel } from '../../lib/policies/policy.js';
import { splitPath } from '../../lib/policies/request-path.js';
import { RuleBook } from '../../lib/policies/rules.js';
import { resolveResilience, type ResilienceOptions } from '../../lib/resilience/resilience.options.js';
import { anything, anyText, fuzz, nearly, refusalOf, ThrownByApplication, treacherousNames } from './fuzz.js';

await loadTemporal();

const flag = fc.boolean();
const fn = fc.constantFrom(() => undefined);
const limits = fc.constantFrom<unknown>(
  '10/minute',
  '1/second; 5/hour',
  '0/day',
  '5 per 2 hours',
  '5 concurrent',
  '2/second; 3 concurrent',
  ['1/second', '5/hour'],
  'unlimited',
);
const names = fc.oneof(fc.constantFrom('default', 'burst', 'a.b-c_1'), treacherousNames);
const planNames = fc.oneof(fc.constantFrom('free', 'pro'), treacherousNames, anyText);

const block = fc.oneof(
  fc.constantFrom<unknown>('1 minute', 'window', ['1 minute', 'window'], []),
  nearly({ after: fc.integer({ min: 1, max: 5 }), for: fc.constantFrom<unknown>('1 minute', ['window']) }),
);
const planLimits = fc.oneof(limits, nearly({ limits, burst: fc.nat(), block }), anything);

const plans = fc
  .tuple(fc.array(fc.tuple(planNames, planLimits), { maxLength: 4 }), fc.constantFrom(Object.prototype, null))
  .map(([entries, prototype]) => {
    const made = Object.create(prototype) as Record<string, unknown>;
    for (const [name, value] of entries)
      Object.defineProperty(made, name, { value, enumerable: true, writable: true, configurable: true });
    return made;
  });

const policyOptions = {
  name: names,
  strategy: fc.constantFrom(
    'fixed-window',
    'token-bucket',
    'moving-window',
    'sliding-window-counter',
    'calendar-window',
  ),
  timeZone: fc.constantFrom<unknown>('UTC', 'Asia/Kathmandu', 'Mars/Base', () => undefined),
  anchor: fc.constantFrom<unknown>('2026-01-31', '2026-03-29T02:30', '2026-02-30', () => undefined),
  burst: fc.nat(),
  hold: fc.constantFrom<unknown>('1 minute', '5 ms', 'window', 1000, ''),
  key: fc.constantFrom('ip', 'user', 'header:x'),
  cost: fc.oneof(fc.nat(), fn),
  scope: fc.oneof(fc.constantFrom('route', 'controller', 'global', 'shared'), treacherousNames),
  skip: fn,
  plans,
  block,
  mode: fc.constantFrom('enforce', 'shadow'),
  phase: fc.constantFrom('beforeAuth', 'afterAuth'),
  count: fc.oneof(fc.constantFrom('all', 'failure', 'success'), fn),
  onError: fc.constantFrom('allow', 'fallback', 'deny'),
  errorMessage: anyText,
};
const declarations = nearly({ limits, ...policyOptions });
const rules = nearly({
  id: names,
  path: fc.constantFrom('/a', '/**', '/users/:id', '/{a,b}', '/[a'),
  method: fc.constantFrom<unknown>('GET', '*', ['GET', 'post'], [], [undefined]),
  priority: fc.nat(),
  continue: flag,
  limits,
  ...policyOptions,
});
const moduleOptions = nearly({
  storage: fc.constantFrom('memory://'),
  strategy: policyOptions.strategy,
  timeZone: policyOptions.timeZone,
  anchor: policyOptions.anchor,
  block,
  limits: fc.oneof(limits, fc.array(declarations, { maxLength: 2 })),
  rules: fc.array(rules, { maxLength: 2 }),
  key: policyOptions.key,
  plan: fn,
  clientIp: fn,
  ipv6Prefix: fc.integer({ min: 32, max: 128 }),
  user: fn,
  apiKeyHeader: fc.constantFrom('x-api-key', '__proto__', 'constructor'),
  allow: fc.constant(['10.0.0.0/8']),
  deny: fc.constant([]),
  transports: fc.constant(['http']),
  resilience: fc.constantFrom<unknown>(false, {}, { timeout: 10 }),
  keyPrefix: fc.constant('app'),
  headers: fc.oneof(
    fc.constantFrom<unknown>(false, {}, { standard: false, legacy: true }),
    fc.record({
      legacy: nearly({ reset: fc.constantFrom('seconds', 'epoch', 'iso'), perLimit: flag, show: names }),
    }),
  ),
  skip: fn,
  errorMessage: fc.oneof(anyText, fn),
  errorFormat: fc.constantFrom('nest', 'problem'),
  errorFactory: fn,
});

type Level = PolicyLevel<ExecutionContext, unknown>;

const storage = new MemoryStorage();
const assertSupported = (): void => undefined;

function levelOf(given: readonly object[], skips: unknown = []): Level {
  return {
    where: 'The test',
    scope: 'global',
    declarations: given,
    skips: skips as string[],
  };
}

function compile(levels: readonly Level[]): Policy<ExecutionContext, unknown>[] {
  return compilePolicies({
    levels,
    scopes: { route: 'r', controller: 'c' },
    defaultStrategy: 'fixed-window',
    assertSupported,
  });
}

/** Checks that resolved options can decide a hit. */
function expectUsable(policies: readonly Policy<ExecutionContext, unknown>[]): void {
  for (const { name, limits: found, plans: byPlan, block } of policies as (Policy<
    ExecutionContext,
    unknown
  > & { block?: unknown })[]) {
    expect(name).toMatch(/^[A-Za-z][\w.-]*$/);
    expect(block).toBe(undefined);
    expect(byPlan === undefined || byPlan instanceof Map).toBe(true);
    for (const limit of [...found, ...[...(byPlan?.values() ?? [])].flat()]) {
      expect(Object.isFrozen(limit)).toBe(true);
      const { outcomes } = storage.consume([{ identity: 'ip:__proto__', limit, cost: 1 }]);
      expect(Number.isInteger(outcomes[0]?.remaining)).toBe(true);
    }
  }
  storage.reset();
}

describe('Options of the module', () => {
  fuzz(
    'are completed, or refused',
    fc.oneof({ weight: 4, arbitrary: moduleOptions }, { weight: 1, arbitrary: anything }),
    (given) => {
      const refusal = refusalOf(() => {
        const {
          limits: found,
          rules: foundRules,
          headers,
          ipv6Prefix,
          strategy,
          resilience,
        } = resolveOptions(given);
        expect([Array.isArray(found), Array.isArray(foundRules)]).toEqual([true, true]);
        const { standard, legacy, retryAfter } = headers;
        expect([typeof standard, typeof retryAfter]).toEqual(['boolean', 'boolean']);
        expect(legacy === false || typeof legacy === 'object').toBe(true);
        expect(ipv6Prefix >= 32 && ipv6Prefix <= 128).toBe(true);
        expect(typeof strategy).toBe('string');
        expect(resilience === false || Number.isInteger(resilience.timeout)).toBe(true);
      });
      if (refusal !== undefined && !(refusal instanceof ThrownByApplication))
        expect(refusal.name).toBe('ConfigurationError');
    },
  );

  fuzz(
    'are completed with what happens without a store, or refused',
    fc.oneof(
      nearly({
        timeout: fc.integer({ min: 1 }),
        onError: policyOptions.onError,
        instances: fc.integer({ min: 1 }),
        failureThreshold: fc.integer({ min: 1 }),
        failureWindow: fc.integer({ min: 1 }),
        probeInterval: fc.integer({ min: 1 }),
        denialCache: flag,
        startWithoutStore: flag,
      }),
      anything,
    ),
    (given) => {
      refusalOf(() => resolveResilience(given as ResilienceOptions));
    },
  );

  fuzz(
    'that come later are refused where they do not belong',
    fc.oneof(
      moduleOptions,
      nearly({ useFactory: fn, useClass: fn, useExisting: fn, inject: fc.constant([]) }),
      anything,
    ),
    (given) => {
      refusalOf(() => assertAsyncOptions(given));
    },
  );

  fuzz(
    'that are not known are named',
    fc.tuple(fc.oneof(anyText, treacherousNames), anything),
    ([name, value]) => {
      const refusal = refusalOf(() =>
        assertKnownOptions('The test', { [name]: value }, ['known'], { hinted: 'A hint.' }),
      );
      expect(refusal === undefined).toBe(name === 'known');
    },
  );
});

describe('Policies', () => {
  fuzz(
    'are compiled of any declarations, or say where they cannot be',
    fc.tuple(
      fc.array(declarations, { maxLength: 3 }),
      fc.oneof(
        { weight: 5, arbitrary: fc.constant<unknown>([]) },
        { weight: 1, arbitrary: fc.array(fc.oneof(names, anything), { maxLength: 2 }) },
      ),
    ),
    ([given, skips]) => {
      let policies: Policy<ExecutionContext, unknown>[] = [];
      const refusal = refusalOf(() => (policies = compile([levelOf(given), levelOf([], skips)])));
      if (refusal !== undefined && !(refusal instanceof ThrownByApplication))
        expect(refusal.message).toMatch(/^The test: /);
      expectUsable(policies);
    },
  );

  fuzz('have plans of any name', fc.tuple(plans, planNames), ([given, asked]) => {
    const isGiven = Object.hasOwn(given, asked);
    const refusal = refusalOf(() => {
      const policies = compile([levelOf([{ limits: '7/minute', plans: given }])]);
      expectUsable(policies);
      const [policy] = policies as unknown as RoutePolicy[];
      if (policy === undefined) throw new Error('There is no policy.');
      const found = new Plans(resolveOptions({}), {} as InjectedFunctions, new Warnings());
      Object.assign(found, { logger: undefined });
      if (!isGiven) expect(policy.plans?.get(asked)).toBe(undefined);
      else expect(found.limitsOf(policy, asked)).toBe(policy.plans?.get(asked));
    });
    if (
      Object.values(given).length > 0 &&
      Object.values(given).every((value) => value === 'unlimited' || value === '10/minute')
    )
      expect(refusal).toBe(undefined);
  });

  fuzz(
    'of decorators are kept as they were given',
    fc.tuple(fc.oneof(limits, plans, anything), fc.oneof(nearly(policyOptions), anything), anything),
    ([input, options, skipped]) => {
      refusalOf(() => {
        class Decorated {}
        Controller()(Decorated);
        RateLimit(input as RateLimitInput, options as object)(Decorated);
        const found = Reflect.getMetadata(LIMITS_METADATA, Decorated) as object[];
        expect(found).toHaveLength(1);
        compile([levelOf(found)]);
      });
      refusalOf(() => {
        class Decorated {}
        SkipRateLimit(skipped as string)(Decorated);
      });
    },
  );
});

describe('Limits by hand', () => {
  const options = nearly({
    id: names,
    name: fc.oneof(names, anyText),
    policy: names,
    strategy: fc.oneof(policyOptions.strategy, fc.constant('concurrency')),
    amount: fc.oneof(fc.nat({ max: 9 }), fc.constantFrom(-0, 2 ** 53 - 1, 2 ** 53, 0.5, NaN)),
    period: fc.oneof(fc.integer({ min: 1 }), fc.constantFrom(0, -1, 2 ** 53, Infinity)),
    burst: fc.constantFrom<unknown>(undefined, 1, 0, 2 ** 52),
    calendar: fc.constantFrom<unknown>(undefined, { unit: 'month' }, { unit: 'week', multiple: 2 }, {}),
    mode: policyOptions.mode,
    block: fc.constantFrom<unknown>([], [1000], [1000, 2000], [0], '1 minute'),
    blockAfter: fc.integer({ min: 0, max: 3 }),
    refundable: flag,
  });

  fuzz(
    'are of options in range, or the error names the one that is not',
    fc.oneof(options, anything),
    (given) => {
      let limit: Limit | undefined;
      const refusal = refusalOf(() => (limit = createLimit(given as CreateLimitOptions)));
      if (refusal !== undefined && !(refusal instanceof ThrownByApplication))
        expect(refusal.name).toBe('ConfigurationError');
      if (limit === undefined) return;
      expect(Object.isFrozen(limit)).toBe(true);
      for (const cost of [0, 1, Math.min(limit.burst, 5)]) {
        const { outcomes, allowed } = storage.consume([{ identity: 'somebody', limit, cost }]);
        expect(outcomes[0]?.remaining).toBeGreaterThanOrEqual(0);
        expect(typeof allowed).toBe('boolean');
      }
      storage.reset();
    },
  );
});

describe('Rules', () => {
  fuzz(
    'are tried for any request, or refused',
    fc.tuple(
      fc.array(fc.oneof({ weight: 6, arbitrary: rules }, { weight: 1, arbitrary: anything }), {
        maxLength: 4,
      }),
      anyText,
      anyText,
    ),
    ([given, method, path]) => {
      refusalOf(() => {
        const book = new RuleBook<ExecutionContext, unknown, Policy<ExecutionContext, unknown>>(
          given as RateLimitRule[],
          (level) => compile([level]),
        );
        expectUsable(book.forRequest(method, splitPath(`/${path}`)));
        for (const rule of book.compiled) book.beside(rule);
        expect(book.forRoute('GET', `/${path}`).length).toBeLessThanOrEqual(book.compiled.length);
      });
    },
  );
});

describe('Identities with dangerous names', () => {
  fuzz(
    'have counts of their own in memory',
    fc.uniqueArray(fc.oneof(treacherousNames, anyText), { minLength: 1, maxLength: 6 }),
    (identities) => {
      const memory = new MemoryStorage();
      const limit = createLimit({ id: '__proto__', strategy: 'fixed-window', amount: 1, period: 60_000 });
      for (const identity of identities) {
        expect(memory.consume([{ identity, limit, cost: 1 }]).allowed).toBe(true);
        expect(memory.consume([{ identity, limit, cost: 1 }]).allowed).toBe(false);
      }
      expect(memory.reset()).toBe(identities.length);
      memory.close();
    },
  );
});
