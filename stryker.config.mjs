/** The folder that `scripts/mutation.mjs` asks for. */
const folder = process.env.MUTATED;
const report = `coverage/mutation/${folder}`;

export default {
  mutate: [
    `lib/${folder}/**/*.ts`,
    // Text for other engines: the conformance suite tries it there.
    '!lib/strategies/**/*{.lua,.mongo,lua-strategy,mongo-strategy}.ts',
  ],
  testRunner: 'jest',
  // Native ES modules, as the tests have them.
  testRunnerNodeArgs: ['--experimental-vm-modules'],
  // A mutant's tests are known: they need not be looked for in what imports what, which takes longer than they do.
  jest: { configFile: 'jest.mutation.config.mjs', enableFindRelatedTests: false },
  coverageAnalysis: 'perTest',
  // What runs once, as a module is loaded, would be tried with every test; what runs in tests as well is tried there.
  ignoreStatic: true,
  concurrency: 2,
  // Jest keeps the modules of every run.
  maxTestRunnerReuse: 40,
  timeoutMS: 5_000,
  thresholds: { high: 95, low: 90, break: 85 },
  reporters: ['progress-append-only', 'clear-text', 'html', 'json'],
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  htmlReporter: { fileName: `${report}.html` },
  jsonReporter: { fileName: `${report}.json` },
  incrementalFile: `${report}-incremental.json`,
  // Below a folder that every tool ignores.
  tempDirName: 'coverage/mutation/sandbox',
  ignorePatterns: ['api', 'coverage', 'dist', 'docs', 'sample', 'scripts', 'test/bench', 'test/package'],
};
