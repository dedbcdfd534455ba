import { ConfigurationError } from '../../common/errors.js';
import { runConformanceCase, type OpenStorage } from './conformance-case.js';
import { conformanceCases } from './conformance-cases.js';

/** What the suite needs of a test runner; Jest, Vitest, Mocha and `node:test` have it. */
export interface ConformanceRunner {
  /** Registers a group of tests. */
  describe: (name: string, body: () => void) => unknown;
  /** Registers a test. */
  it: {
    (name: string, body: () => Promise<void>): unknown;
    /** Where it is missing, a skipped case is registered as one that passes. */
    skip?(name: string, body: () => Promise<void>): unknown;
  };
}

/** Options of {@link describeStorage}. */
export interface DescribeStorageOptions {
  /** Opens the storage under test. Called for every case. */
  open: OpenStorage;
  /** Cases that do not hold, by name, each with the reason. They are still listed. Default: none. */
  skip?: Readonly<Record<string, string>>;
  /** Default: the global `describe` and `it`. */
  runner?: ConformanceRunner;
}

/**
 * Registers the conformance suite for a storage: what every storage has to do, one test per case. Assertions come from
 * `node:assert`, so that it runs under any test runner.
 *
 * Every case opens a storage of its own with a {@link ManualClock} and a unique `keyPrefix`, and closes it at the end. Cases
 * of strategies that the storage's capabilities do not name pass. Real time does not matter, unless the store forgets within
 * less of it than it was told to keep.
 *
 * @param name what the storage is called in the report
 * @throws ConfigurationError when `skip` names no case, or when there is no runner
 * @example
 * ```ts
 * import { describe, it } from 'node:test';
 * import { MemoryStorage } from 'nestjs-limits';
 * import { describeStorage } from 'nestjs-limits/testing';
 *
 * describeStorage('MemoryStorage', {
 *   open: (options) => new MemoryStorage(options),
 *   skip: { 'two storages of one prefix never admit more than the limit together': 'each counts on its own' },
 *   runner: { describe, it },
 * });
 * ```
 */
export function describeStorage(
  name: string,
  { open, skip = {}, runner = globalRunner() }: DescribeStorageOptions,
): void {
  assertCaseNames(Object.keys(skip));
  const { describe, it } = runner;
  describe(name, () => {
    for (const topic of new Set(conformanceCases.map((each) => each.topic))) {
      describe(topic, () => {
        for (const each of conformanceCases.filter((other) => other.topic === topic)) {
          const run = (): Promise<void> => runConformanceCase(each, open);
          if (Object.hasOwn(skip, each.name))
            registerSkipped(it, `${each.name} (skipped: ${skip[each.name]})`, run);
          else it(each.name, run);
        }
      });
    }
  });
}

function registerSkipped(it: ConformanceRunner['it'], title: string, run: () => Promise<void>): void {
  if (typeof it.skip === 'function') it.skip(title, run);
  else it(title, () => Promise.resolve());
}

function assertCaseNames(names: readonly string[]): void {
  const unknown = names.find((name) => conformanceCases.every((each) => each.name !== name));
  if (unknown !== undefined) {
    throw new ConfigurationError(
      `There is no conformance case "${unknown}" to skip. The names of all are in conformanceCases.`,
    );
  }
}

function globalRunner(): ConformanceRunner {
  const { describe, it } = globalThis as unknown as Partial<ConformanceRunner>;
  if (typeof describe !== 'function' || typeof it !== 'function') {
    throw new ConfigurationError(
      'describeStorage found no global "describe" and "it". Pass those of your test runner: { runner: { describe, it } }.',
    );
  }
  return { describe, it };
}
