import config from './jest.config.mjs';

const [unit] = config.projects;
const [[typescript, [swc, options]]] = Object.entries(unit.transform);

/** By the name of a run: what is changed, and the tests that have to detect it. */
export const parts = {
  notation: { files: ['lib/notation/**/*.ts'], tests: ['unit/notation/*'] },
  strategies: { files: ['lib/strategies/**/*.ts'], tests: ['unit/strategies/*'] },
  policies: { files: ['lib/policies/**/*.ts'], tests: ['unit/policies/*'] },
  http: { files: ['lib/http/**/*.ts'], tests: ['unit/http/*'] },
  settlement: {
    files: [
      'lib/core/{settlement,returned-units}.ts',
      'lib/limiter/{settle-decision,held-slots,slot,slot-renewals}.ts',
    ],
    tests: ['unit/core/settlement', 'unit/limiter/{settle,held-slots,slots}'],
  },
};

/** The part that `MUTATED` names; all without it. */
const mutated = Object.keys(parts).filter((name) => (process.env.MUTATED ?? name) === name);

export default {
  ...unit,
  roots: ['<rootDir>/lib', '<rootDir>/test/unit', '<rootDir>/test/property'],
  testMatch: mutated.flatMap((name) => parts[name].tests).map((tests) => `<rootDir>/test/${tests}.test.ts`),
  setupFilesAfterEnv: ['<rootDir>/test/support/brief-properties.mjs'],
  transform: {
    '/lib/index\\.ts$': ['<rootDir>/test/support/index-without-nest.mjs', options],
    [typescript]: [swc, options],
  },
};
