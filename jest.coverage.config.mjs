import config from './jest.config.mjs';

/** `npm run coverage`: how much of the library the tests run. Those that run it in other processes, or built, do not count. */
export default {
  ...config,
  projects: config.projects.map((project) => ({
    ...project,
    testPathIgnorePatterns: [...(project.testPathIgnorePatterns ?? []), '/test/(exactness|package)/'],
  })),
  collectCoverage: true,
  collectCoverageFrom: ['lib/**/*.ts'],
  coverageDirectory: 'coverage/lines',
  coverageReporters: ['text', 'html', 'json'],
  coverageThreshold: { global: { lines: 98, branches: 96 } },
};
