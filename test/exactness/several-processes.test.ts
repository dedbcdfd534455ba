import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  createLimit,
  storageFromString,
  type CreateLimitOptions,
  type ResilienceOptions,
  type Storage,
  type StrategyName,
} from 'nestjs-limits';
import { strategyNames } from '../../lib/strategies/strategies.js';
import { calendarOf } from '../support/strategies.js';
import { describeOn, type ServerName } from '../support/servers.js';
import type { Answer } from './child.js';
import { Processes } from './processes.js';

/** Four processes with 50 concurrent hits each: every backend admits exactly the limit. */

/** Long timeout in ms, since the machine may be busy and hits on one key wait for each other. */
const TIMEOUT_MS = 20_000;

/** The option that sets the timeout of each storage. */
const backends = {
  REDIS: { commandTimeout: TIMEOUT_MS },
  REDIS_CLUSTER: { redisOptions: { commandTimeout: TIMEOUT_MS } },
  MEMCACHED: { timeout: TIMEOUT_MS },
  ETCD: { timeout: TIMEOUT_MS },
  MONGODB: { timeout: TIMEOUT_MS },
  POSTGRESQL: { timeout: TIMEOUT_MS },
  PGBOUNCER: { timeout: TIMEOUT_MS },
} as const satisfies Partial<Record<ServerName, object>>;

const TIMES = 50;
const AMOUNT = 100;
const MINUTE = 60_000;

type CellOptions = CreateLimitOptions & { readonly identity: string };

let together: Processes;
let apart: Processes;

beforeAll(async () => {
  [together, apart] = await Promise.all([
    Processes.start([0, 0, 0, 0]),
    Processes.start([0, MINUTE, 0, -MINUTE]),
  ]);
});

afterAll(async () => {
  await Promise.all([together.end(), apart.end()]);
});

describe.each(Object.keys(backends) as (keyof typeof backends)[])('on %s', (backend) => {
  describeOn(backend, 'four processes', (uri) => {
    const options = { ...backends[backend], keyPrefix: `exactness-${randomBytes(6).toString('hex')}` };
    let storage: Storage;

    beforeAll(async () => {
      storage = await storageFromString(uri, options);
    });
    afterAll(() => storage.close());

    async function hit(
      processes: Processes,
      batch: readonly CellOptions[],
      resilience?: ResilienceOptions,
    ): Promise<Answer & { left: number[] }> {
      const answer = await processes.hit({ uri, options, batch, times: TIMES, resilience });
      const { outcomes } = await storage.peek(
        batch.map(({ identity, ...options }) => ({ identity, limit: createLimit(options), cost: 1 })),
      );
      return { ...answer, left: outcomes.map(({ remaining }) => remaining) };
    }

    function cell(strategy: StrategyName, about: string, amount: number, identity = 'somebody'): CellOptions {
      const calendar = calendarOf(strategy, 'year');
      return {
        id: `${strategy} ${about} ${amount}`,
        strategy,
        amount,
        period: 60 * MINUTE,
        calendar,
        identity,
      };
    }

    it.each(strategyNames)('are allowed exactly the amount of a %s limit', async (strategy) => {
      expect(await hit(together, [cell(strategy, 'alone', AMOUNT)])).toEqual({
        allowed: AMOUNT,
        errors: [],
        left: [0],
      });
    });

    it.each(strategyNames)('are allowed exactly the smallest of three %s limits', async (strategy) => {
      const batch = [AMOUNT + 20, AMOUNT, AMOUNT + 50].map((amount) => cell(strategy, 'of three', amount));
      expect(await hit(together, batch)).toEqual({ allowed: AMOUNT, errors: [], left: [20, 0, 50] });
    });

    it.each(strategyNames)(
      'are allowed exactly the amount of a %s limit with a denial cache and a timeout',
      async (strategy) => {
        const batch = [cell(strategy, 'resilient', AMOUNT)];
        const resilience = { timeout: TIMEOUT_MS, instances: 4 };
        // The second time all of them are refused, most of them by the denial cache.
        expect(await hit(together, batch, resilience)).toEqual({ allowed: AMOUNT, errors: [], left: [0] });
        expect(await hit(together, batch, resilience)).toEqual({ allowed: 0, errors: [], left: [0] });
      },
    );

    it.each(['fixed-window', 'token-bucket'] as const)(
      'are allowed no more than the amount of a %s limit with leases',
      async (strategy) => {
        const batch = [cell(strategy, 'leased', AMOUNT)];
        const lease = { size: 5, maxError: 0.2 };
        const { allowed, errors } = await hit(together, batch, {
          timeout: TIMEOUT_MS,
          instances: 4,
          lease,
        });
        expect(errors).toEqual([]);
        expect(allowed).toBeLessThanOrEqual(AMOUNT);
        expect(allowed).toBeGreaterThanOrEqual(AMOUNT - 4 * (5 - 1));
      },
    );

    it('are allowed exactly the smallest of limits of every strategy', async () => {
      const batch = strategyNames.map((strategy, index) => cell(strategy, 'of all', AMOUNT + 10 * index));
      expect(await hit(together, batch)).toEqual({
        allowed: AMOUNT,
        errors: [],
        left: strategyNames.map((_strategy, index) => 10 * index),
      });
    });

    it.each(strategyNames)('are never allowed more than %s limits of three identities', async (strategy) => {
      const batch = ['anybody', 'somebody', 'everybody'].map((identity, index) =>
        cell(strategy, 'of identities', AMOUNT + 10 * index, identity),
      );
      const { allowed, errors, left } = await hit(together, batch);
      expect(errors).toEqual([]);
      expect(allowed).toBeLessThanOrEqual(AMOUNT);
      if (storage.capabilities.atomicity === 'batch') expect(allowed).toBe(AMOUNT);
      // Refused batches have been settled to 0; a token bucket keeps what refilled between a hit
      // and its settlement.
      const kept = left.map((units, index) => AMOUNT + 10 * index - allowed - units);
      if (strategy === 'token-bucket') expect(kept.filter((units) => units < 0)).toEqual([]);
      else expect(kept).toEqual([0, 0, 0]);
    });

    it("with clocks a minute apart are allowed the same, if the server's clock counts", async () => {
      if (storage.capabilities.clock === 'local') return;
      for (const strategy of strategyNames) {
        // A minute more or less would open another window, or refill a bucket by a unit or two.
        const period = strategy === 'token-bucket' ? 60 * MINUTE : MINUTE;
        const limit = { ...cell(strategy, 'apart', AMOUNT), period };
        const { allowed, errors } = await hit(apart, [limit]);
        expect({ strategy, allowed, errors }).toEqual({ strategy, allowed: AMOUNT, errors: [] });
      }
    });
  });
});
