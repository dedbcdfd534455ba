/** Tests that need servers. Only when one of them runs does a run start any. */
const withServers =
  '/test/(conformance/(redis|memcached|etcd|mongodb|postgresql|quickstart|records|random-traces)[^/]*|e2e/(samples|microservices-redis|rabbitmq|shared-settings|console-page|pairs/storages)|(exactness|faults)/.*)\\.test\\.ts$';

/** Jest runs the TypeScript sources as ES modules, as NestJS 12 itself is published. */
const project = {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
        },
        module: { type: 'es6' },
      },
    ],
  },
  moduleNameMapper: {
    '^nestjs-limits$': '<rootDir>/lib/index.ts',
    '^nestjs-limits/testing$': '<rootDir>/lib/testing/index.ts',
    '^nestjs-limits/(redis|memcached|mongodb|etcd|postgresql)$': '<rootDir>/lib/storages/$1/index.ts',
    '^nestjs-limits/(terminus|opentelemetry|swagger|console)$': '<rootDir>/lib/nest/$1/index.ts',
    // As scripts/build.mjs does in the package.
    '^\\./page\\.js$': '<rootDir>/scripts/build-page.mjs',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  modulePathIgnorePatterns: ['<rootDir>/dist', '<rootDir>/coverage', '<rootDir>/test/package/consumers'],
};

export default {
  projects: [
    {
      ...project,
      displayName: 'unit',
      testMatch: ['<rootDir>/test/**/*.test.ts'],
      testPathIgnorePatterns: ['/node_modules/', withServers],
    },
    {
      ...project,
      displayName: 'servers',
      testRegex: withServers,
      globalSetup: '<rootDir>/test/support/global-setup.mjs',
      globalTeardown: '<rootDir>/test/support/global-teardown.mjs',
    },
  ],
  // The package tests mostly wait for other programs; by default two cores would mean one worker.
  maxWorkers: '100%',
  // Jest keeps the modules of every test file that a worker has run. Two workers of this size fit into a machine of 4 GB.
  workerIdleMemoryLimit: '1GB',
  testTimeout: 30_000,
};
