/**
 * Which part of the library may import which, types included. `npm run lint` checks it; every violation is an error.
 *
 * Each rule was seen to fire, on a tree of small modules that break one rule each. After a change, see it fire again.
 */

/** The folders of lib that each layer may import besides itself. */
const layers = {
  common: [],
  notation: ['common'],
  strategies: ['common'],
  core: ['common', 'strategies'],
  storages: ['common', 'strategies', 'core'],
  limiter: ['common', 'notation', 'strategies', 'core'],
  policies: ['common', 'notation', 'strategies', 'core'],
  http: ['common', 'core'],
  resilience: ['common', 'core', 'storages/memory'],
  observability: ['common', 'core', 'resilience'],
  nest: [
    'common',
    'notation',
    'strategies',
    'core',
    'storages',
    'limiter',
    'policies',
    'http',
    'resilience',
    'observability',
  ],
  testing: ['common', 'notation', 'strategies', 'core', 'storages', 'limiter'],
};

/** Packages that not everybody has, and the only folder that knows each, types included. */
const optional = {
  ioredis: '^lib/storages/redis/',
  mongodb: '^lib/storages/mongodb/',
  etcd3: '^lib/storages/etcd/',
  '@nestjs/terminus': '^lib/nest/terminus/',
  '@nestjs/microservices': '^lib/nest/transports/',
  '@nestjs/websockets': '^lib/nest/transports/',
};

/** Entry points: what `exports` in package.json names. */
const entries = Object.values(require('./package.json').exports)
  .map((entry) => /^[.][/]dist[/]esm[/](.+)[.]js$/.exec(entry.import?.default)?.[1])
  .filter((module) => module !== undefined)
  .map((module) => `^lib/${module}[.]ts$`);

module.exports = {
  forbidden: [
    ...Object.entries(layers).map(([layer, allowed]) => ({
      name: `layer-${layer}`,
      comment: `lib/${layer} imports only ${[layer, ...allowed].join(', ')}.`,
      severity: 'error',
      from: { path: `^lib/${layer}/` },
      to: { path: '^lib/', pathNot: [layer, ...allowed].map((folder) => `^lib/${folder}/`) },
    })),
    {
      name: 'known-layer',
      comment: 'Every folder of lib is a layer that this file knows; only the root entry lies beside them.',
      severity: 'error',
      from: { path: '^lib/', pathNot: ['^lib/index[.]ts$', `^lib/(${Object.keys(layers).join('|')})/`] },
      to: {},
    },
    {
      name: 'testing-apart',
      comment: 'Nothing of the library imports what tests it.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/testing/' },
      to: { path: '^lib/testing/' },
    },
    {
      name: 'terminus-apart',
      comment: 'Who has no terminus must not load the entry that needs it.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/nest/terminus/' },
      to: { path: '^lib/nest/terminus/' },
    },
    ...Object.entries(optional).map(([name, folder]) => ({
      name: `${name.replace('@nestjs/', 'nest-')}-in-its-folder`,
      comment: `Only ${folder} knows the optional package ${name}.`,
      severity: 'error',
      from: { path: '^lib/', pathNot: folder },
      to: { path: [`(^|/)node_modules/${name}/`, `^${name}(/|$)`] },
    })),
    {
      name: 'transports-on-demand',
      comment:
        'Packages of transports are optional: they are imported when a message comes, or for their types.',
      severity: 'error',
      from: { path: '^lib/nest/transports/' },
      to: {
        path: '(^|/)@nestjs/(microservices|websockets)/?',
        dynamic: false,
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'backends-apart',
      comment: 'A backend imports no other; those that compare and set share lib/storages/cas.',
      severity: 'error',
      from: { path: '^lib/storages/([^/]+)/' },
      to: { path: '^lib/storages/[^/]+/', pathNot: ['^lib/storages/$1/', '^lib/storages/cas/'] },
    },
    {
      name: 'drivers-in-backends',
      comment: 'Only a backend knows its driver, and only lib/nest the packages of a transport.',
      severity: 'error',
      from: { path: '^lib/', pathNot: ['^lib/storages/[^/]+/', '^lib/nest/'] },
      to: {
        path: 'node_modules/',
        pathNot: 'node_modules/(ipaddr[.]js|picomatch|@nestjs|rxjs|reflect-metadata)/',
      },
    },
    {
      name: 'backends-on-demand',
      comment:
        'Drivers are optional: what loads a backend that has one imports it dynamically, or only its types.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/storages/[^/]+/' },
      to: {
        path: '^lib/storages/[^/]+/',
        pathNot: '^lib/storages/(cas|memory)/',
        dynamic: false,
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'nest-in-nest',
      comment:
        'Only lib/nest imports NestJS and reflect-metadata that comes with it; RxJS, which does too, carries the events besides.',
      severity: 'error',
      from: { path: '^lib/', pathNot: ['^lib/nest/', '^lib/observability/rate-limit-events[.]ts$'] },
      to: {
        path: [
          '(^|/)node_modules/(@nestjs|rxjs|reflect-metadata)(/|$)',
          '^(@nestjs|rxjs|reflect-metadata)(/|$)',
        ],
      },
    },
    {
      name: 'no-cycles',
      comment: 'Modules that import each other cannot be understood, tested or loaded one by one.',
      severity: 'error',
      from: { path: '^lib/' },
      to: { circular: true },
    },
    {
      name: 'no-orphans',
      comment: 'A module that no entry point reaches is dead.',
      severity: 'error',
      from: { path: entries },
      to: { path: '^lib/', pathNot: entries, reachable: false },
    },
    {
      name: 'shipped-dependencies-only',
      comment: 'Users get dependencies and peers, not what this repository is developed with.',
      severity: 'error',
      from: { path: '^lib/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['npm-peer'] },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.build.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types', 'default'],
    },
  },
};
