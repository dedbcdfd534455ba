import { describe } from '@jest/globals';
import fc from 'fast-check';
import { MemoryStorage } from 'nestjs-limits';
import { runConformanceCase, type OpenStorage } from 'nestjs-limits/testing';
import { plansOf, RandomTrace } from '../../lib/testing/conformance/random-trace.js';
import { Random } from '../../lib/testing/conformance/random.js';
import { Scenario } from '../../lib/testing/conformance/scenario.js';
import { strategyNames } from '../../lib/strategies/strategies.js';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';
import { fuzz } from './fuzz.js';

const STEPS = 120;

const storages: readonly [name: string, open: OpenStorage][] = [
  ['memory', (options) => new MemoryStorage(options)],
  ['records', (options) => new MapCasStorage(new MapCasServer(), { ...options, timeout: 20_000 })],
];

describe.each(storages)(
  'Hits, settlements and refunds of plans that share cells, kept in %s,',
  (_name, open) => {
    fuzz(
      'are answered as by the pure strategies, all strategies together',
      fc.integer(),
      (seed) => play(open, (scenario) => new RandomTrace(scenario, new Random(seed))),
      40,
    );

    fuzz(
      'are answered as by the pure strategies, for each strategy alone',
      fc.record({
        seed: fc.integer(),
        strategy: fc.constantFrom(...strategyNames),
        amounts: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
        blocks: fc.constantFrom([], [5000], [10_000, 30_000]),
        refundable: fc.boolean(),
      }),
      ({ seed, strategy, amounts, blocks, refundable }) =>
        play(
          open,
          (scenario) =>
            new RandomTrace(scenario, new Random(seed), [
              plansOf(strategy, amounts, { block: strategy === 'concurrency' ? [] : blocks, refundable }),
            ]),
        ),
      100,
    );
  },
);

function play(open: OpenStorage, trace: (scenario: Scenario) => RandomTrace): Promise<void> {
  const name = 'a random trace';
  return runConformanceCase(
    { name, topic: name, strategies: [], run: (context) => trace(new Scenario(context)).run(STEPS) },
    open,
  );
}
