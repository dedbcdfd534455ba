import config from './jest.config.mjs';

const [unit] = config.projects;
const [[typescript, [swc, options]]] = Object.entries(unit.transform);

/** The tests that each mutant of a folder, which `MUTATED` names, has to get past; of all folders without it. */
const testsOf = {
  notation: ['unit/notation/*'],
  strategies: ['unit/strategies/*'],
  policies: ['unit/policies/*'],
  http: ['unit/http/*'],
};
const folders = process.env.MUTATED === undefined ? Object.keys(testsOf) : [process.env.MUTATED];

export default {
  ...unit,
  roots: ['<rootDir>/lib', '<rootDir>/test/unit', '<rootDir>/test/property'],
  testMatch: folders.flatMap((folder) => testsOf[folder]).map((tests) => `<rootDir>/test/${tests}.test.ts`),
  setupFilesAfterEnv: ['<rootDir>/test/support/brief-properties.mjs'],
  transform: {
    '/lib/index\\.ts$': ['<rootDir>/test/support/index-without-nest.mjs', options],
    [typescript]: [swc, options],
  },
};
