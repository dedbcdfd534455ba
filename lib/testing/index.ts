/**
 * For tests: a clock that stands still until it is told to go on, and what every storage has to get right, for your own.
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
