import { ConfigurationError } from '../../common/errors.js';
import { runConformanceCase, type OpenStorage } from './conformance-case.js';
import { conformanceCases } from './conformance-cases.js';

/**
 * The functions of a test runner that the suite needs. Jest, Vitest, Mocha and `node:test` have
 * them.
 */
export interface ConformanceRunner {
  /** Registers a group of tests. */
  describe: (name: string, body: () => void) => unknown;
  /** Registers a test. */
  it: {
    (name: string, body: () => Promise<void>): unknown;
    /**
     * Registers a skipped test. If it is missing, a skipped case is registered as a test that
     * passes.
     */
    skip?(name: string, body: () => Promise<void>): unknown;
  };
}

/** Options of {@link describeStorage}. */
export interface DescribeStorageOptions {
  /** Opens the storage under test for each case, with this clock and prefix. */
  open: OpenStorage;
  /**
   * Cases to skip, by name, with the reason. The report still lists them.
   *
   * @default none
   */
  skip?: Readonly<Record<string, string>>;
  /**
   * `describe` and `it` of your test runner.
   *
   * @default the global `describe` and `it`
   */
  runner?: ConformanceRunner;
}

/**
 * Registers the conformance suite for a storage, one test per case. Assertions are from
 * `node:assert`, so the suite runs under any test runner.
 *
 * Every case opens a storage with a {@link ManualClock} and a unique `keyPrefix`, and closes it
 * afterwards. Cases of strategies that the storage does not support pass. Real time has no effect,
 * unless the store drops records before their time to live ends.
 *
 * @param name name of the storage in the report
 * @throws ConfigurationError when `skip` names an unknown case, or there is no runner
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
