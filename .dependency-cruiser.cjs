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
  observability: ['common', 'core', 'storages/memory', 'limiter', 'resilience'],
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
  migrate: ['common', 'notation'],
  replay: ['common', 'notation', 'strategies', 'core', 'storages/memory', 'limiter', 'policies', 'http'],
  cli: ['common', 'notation', 'strategies', 'core', 'policies', 'migrate', 'replay'],
};

/** The folders of lib/nest that each of them may import besides itself. Only the files of lib/nest itself may import all. */
const folders = {
  decorators: ['request', 'routes', 'identities', 'transports', 'options'],
  request: ['routes', 'identities', 'transports', 'options'],
  routes: ['identities', 'transports', 'options'],
  identities: ['transports', 'options'],
  transports: ['options'],
  options: [],
  settings: ['routes', 'identities', 'transports', 'options'],
  storage: ['options'],
  terminus: ['storage', 'options'],
  opentelemetry: ['options'],
  swagger: ['routes', 'transports', 'options'],
  console: ['decorators', 'routes', 'transports', 'storage', 'options'],
};

/** Packages that not everybody has, and the only folder that knows each, types included. */
const optional = {
  ioredis: '^lib/storages/redis/',
  mongodb: '^lib/storages/mongodb/',
  etcd3: '^lib/storages/etcd/',
  pg: '^lib/storages/postgresql/',
  '@nestjs/terminus': '^lib/nest/terminus/',
  '@opentelemetry/api': '^lib/observability/opentelemetry/',
  '@nestjs/microservices': '^lib/nest/transports/',
  '@nestjs/websockets': '^lib/nest/transports/',
};

/** Entry points: what `exports` and `bin` in package.json name. */
const manifest = require('./package.json');
const entries = Object.values(manifest.exports)
  .map((entry) => entry.import?.default)
  .concat(Object.values(manifest.bin))
  .map((path) => /^(?:[.][/])?dist[/]esm[/](.+)[.]js$/.exec(path)?.[1])
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
    ...Object.entries(folders).map(([folder, allowed]) => ({
      name: `nest-${folder}`,
      comment: `lib/nest/${folder} imports only ${[folder, ...allowed].join(', ')} of lib/nest, and no file of lib/nest itself.`,
      severity: 'error',
      from: { path: `^lib/nest/${folder}/` },
      to: { path: '^lib/nest/', pathNot: [folder, ...allowed].map((name) => `^lib/nest/${name}/`) },
    })),
    {
      name: 'known-layer',
      comment: 'Every folder of lib, and of lib/nest, is a layer that this file knows.',
      severity: 'error',
      from: {
        path: ['^lib/[^/]+/', '^lib/nest/[^/]+/'],
        pathNot: [
          `^lib/(${Object.keys(layers)
            .filter((layer) => layer !== 'nest')
            .join('|')})/`,
          '^lib/nest/[^/]+$',
          `^lib/nest/(${Object.keys(folders).join('|')})/`,
        ],
      },
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
      name: 'cli-apart',
      comment: 'Only the executable loads what is made for it; it exists as ES modules only.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/(cli|replay)/' },
      to: { path: '^lib/(cli|replay)/' },
    },
    {
      name: 'migrate-apart',
      comment: 'Only the executable loads the codemod; it exists as ES modules only.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/(cli|migrate)/' },
      to: { path: '^lib/migrate/' },
    },
    {
      name: 'typescript-of-the-application',
      comment: "The codemod takes the application's TypeScript when it runs, and imports its types only.",
      severity: 'error',
      from: { path: '^lib/' },
      to: { path: '(^|/)node_modules/typescript/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'typescript-in-migrate',
      comment: 'Only the codemod knows TypeScript, types included.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/migrate/' },
      to: { path: '(^|/)node_modules/typescript/' },
    },
    {
      name: 'terminus-apart',
      comment: 'Who has no terminus must not load the entry that needs it.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/nest/terminus/' },
      to: { path: '^lib/nest/terminus/' },
    },
    {
      name: 'metrics-apart',
      comment: 'Who has no OpenTelemetry must not load what needs it.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/(nest|observability)/opentelemetry/' },
      to: { path: '^lib/(nest|observability)/opentelemetry/' },
    },
    {
      name: 'swagger-apart',
      comment: 'Nothing loads the entry for OpenAPI unless the application imports it.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/nest/swagger/' },
      to: { path: '^lib/nest/swagger/' },
    },
    {
      name: 'console-apart',
      comment: 'An application without a console must not load it.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/nest/console/' },
      to: { path: '^lib/nest/console/' },
    },
    ...Object.entries(optional).map(([name, folder]) => ({
      name: `${name.replace('@nestjs/', 'nest-').replace('@opentelemetry/', 'opentelemetry-')}-in-its-folder`,
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
      from: {
        path: '^lib/',
        pathNot: ['^lib/storages/[^/]+/', '^lib/nest/', '^lib/observability/opentelemetry/'],
      },
      to: {
        path: 'node_modules/',
        pathNot:
          'node_modules/(ipaddr[.]js|picomatch|temporal-polyfill|temporal-spec|@nestjs|rxjs|reflect-metadata|typescript)/',
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
      comment: 'Only lib/nest imports NestJS, and reflect-metadata, which comes with it.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/nest/' },
      to: {
        path: ['(^|/)node_modules/(@nestjs|reflect-metadata)(/|$)', '^(@nestjs|reflect-metadata)(/|$)'],
      },
    },
    {
      name: 'rxjs-in-nest-and-events',
      comment: 'Only lib/nest and the events of lib/observability use RxJS.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/(nest|observability)/' },
      to: { path: ['(^|/)node_modules/rxjs(/|$)', '^rxjs(/|$)'] },
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
      to: {
        pathNot: '(^|/)node_modules/typescript/',
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'],
        dependencyTypesNot: ['npm-peer'],
      },
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
