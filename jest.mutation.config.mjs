import config from './jest.config.mjs';

const [unit] = config.projects;
const [[typescript, [swc, options]]] = Object.entries(unit.transform);

/** The tests that each mutant of a folder, which `MUTATED` names, has to get past; of all folders without it. */
const testsOf = {
  limits: ['unit/limits/*'],
  strategies: ['unit/strategies/*', 'property/{strategy-*,clock-going-back}'],
  policies: ['unit/policies/*'],
  http: ['unit/http/*'],
};
const folders = process.env.MUTATED === undefined ? Object.keys(testsOf) : [process.env.MUTATED];

export default {
  ...unit,
  roots: ['<rootDir>/lib', '<rootDir>/test/unit', '<rootDir>/test/property'],
  testMatch: folders.flatMap((folder) => testsOf[folder]).map((tests) => `<rootDir>/test/${tests}.test.ts`),
  testSequencer: '<rootDir>/test/support/unit-tests-first.mjs',
  transform: {
    '/lib/index\\.ts$': ['<rootDir>/test/support/index-without-nest.mjs', options],
    [typescript]: [swc, options],
  },
};
