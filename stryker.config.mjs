import { parts } from './jest.mutation.config.mjs';

/** The part that `scripts/mutation.mjs` runs. */
const part = process.env.MUTATED;
const report = `coverage/mutation/${part}`;

export default {
  mutate: parts[part].files,
  testRunner: 'jest',
  // Native ES modules, as in the tests.
  testRunnerNodeArgs: ['--experimental-vm-modules'],
  // The configuration lists a mutant's tests; searching imports for them takes longer than running them.
  jest: { configFile: 'jest.mutation.config.mjs', enableFindRelatedTests: false },
  coverageAnalysis: 'perTest',
  // A mutant of code that runs while a module is loaded would run with every test.
  ignoreStatic: true,
  concurrency: 2,
  // Jest keeps the modules of every run.
  maxTestRunnerReuse: 40,
  timeoutMS: 5_000,
  thresholds: { high: 95, low: 90, break: 90 },
  reporters: ['progress-append-only', 'clear-text', 'html', 'json'],
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  htmlReporter: { fileName: `${report}.html` },
  jsonReporter: { fileName: `${report}.json` },
  incrementalFile: `${report}-incremental.json`,
  // Below a folder that every tool ignores.
  tempDirName: 'coverage/mutation/sandbox',
  ignorePatterns: ['api', 'coverage', 'dist', 'docs', 'sample', 'scripts', 'test/bench', 'test/package'],
};
