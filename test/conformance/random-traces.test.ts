import { describe, it } from '@jest/globals';
import { MemoryStorage } from 'nestjs-limits';
import { EtcdStorage } from 'nestjs-limits/etcd';
import { MemcachedStorage } from 'nestjs-limits/memcached';
import { MongoDBStorage } from 'nestjs-limits/mongodb';
import { PostgreSQLStorage } from 'nestjs-limits/postgresql';
import { RedisStorage } from 'nestjs-limits/redis';
import { runConformanceCase, type OpenStorage } from 'nestjs-limits/testing';
import { Random } from '../../lib/testing/conformance/random.js';
import { plansOf, RandomTrace } from '../../lib/testing/conformance/random-trace.js';
import { Scenario } from '../../lib/testing/conformance/scenario.js';
import { rateStrategyNames } from '../../lib/strategies/strategies.js';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';
import { describeOn, type ServerName } from '../support/servers.js';

/** Traces per storage: the number in the environment, or else few enough for every run of the tests. */
const TRACES = Number(process.env['TRACES'] ?? 4);
/** Steps per trace. With TRACES=150, each storage takes 30,000 of them. */
const STEPS = 200;
const FIRST_SEED = Number(process.env['FIRST_SEED'] ?? 1000);

const timeout = 20_000;
const casServer = new MapCasServer();

const onServers: readonly [ServerName, (uri: string) => OpenStorage][] = [
  ['REDIS', (uri) => (options) => new RedisStorage(uri, { ...options, timeout })],
  ['POSTGRESQL', (uri) => (options) => new PostgreSQLStorage(uri, { ...options, timeout })],
  ['MONGODB', (uri) => (options) => new MongoDBStorage(uri, { ...options, timeout })],
  ['ETCD', (uri) => (options) => new EtcdStorage(uri, { ...options, timeout })],
  ['MEMCACHED', (uri) => (options) => new MemcachedStorage(uri, { ...options, timeout })],
];

describe('Random traces', () => {
  compare('MemoryStorage', (options) => new MemoryStorage(options));
  compare('a storage that compares and sets', (options) => new MapCasStorage(casServer, options));

  for (const [server, open] of onServers)
    describeOn(server, `on ${server}`, (uri) => compare('its storage', open(uri)));
});

/** Compares traces on a storage with the pure strategies. */
function compare(name: string, open: OpenStorage): void {
  it(`of mixed limits, and of plans that share one cell, have the results of the pure strategies: ${name}`, async () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + TRACES; seed++) {
      const trace = (scenario: Scenario): RandomTrace =>
        seed % 2 === 0
          ? new RandomTrace(scenario, new Random(seed))
          : new RandomTrace(scenario, new Random(seed), [plansOfSeed(seed)]);
      await runConformanceCase(
        {
          name: `seed ${seed}`,
          topic: 'random traces',
          strategies: rateStrategyNames,
          run: (context) => trace(new Scenario(context)).run(STEPS),
        },
        open,
      );
    }
  }, 3_000_000);
}

/** Returns three plans of one strategy, with blocks and settlements by chance. */
function plansOfSeed(seed: number): ReturnType<typeof plansOf> {
  const random = new Random(seed);
  const strategy = rateStrategyNames[(seed >> 1) % rateStrategyNames.length] ?? 'fixed-window';
  const amounts = [1, 2, 3].map(() => 1 + random.below(9));
  return plansOf(strategy, amounts, {
    block: random.chance(40) ? [5000, 20_000] : [],
    refundable: random.chance(50),
  });
}
