/**
 * Utilities for tests: a manual clock, and the conformance suite for custom storages.
 *
 * @packageDocumentation
 */

export {
  runConformanceCase,
  type ConformanceCase,
  type ConformanceContext,
  type OpenStorage,
} from './conformance/conformance-case.js';
export { conformanceCases } from './conformance/conformance-cases.js';
export {
  describeStorage,
  type ConformanceRunner,
  type DescribeStorageOptions,
} from './conformance/describe-storage.js';
export { ManualClock } from './manual-clock.js';
