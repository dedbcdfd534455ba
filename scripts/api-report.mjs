/**
 * Reports the public API of each entry of the package, as its built types tell it, into `api/`: `npm run api`.
 *
 * With `--check` it changes nothing, and fails when a report is not what the types say: `npm run api -- --check`. With
 * `--package FOLDER` it reads the package in that folder, such as a tarball taken apart, instead of the build.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CompilerState, Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values: options } = parseArgs({
  options: { check: { type: 'boolean', default: false }, package: { type: 'string', default: root } },
});
const projectFolder = resolve(options.package);
const reportFolder = join(root, 'api');
const reportTempFolder = mkdtempSync(join(tmpdir(), 'nestjs-limits-api-'));

/** By entry, the types in its signatures that it does not export, since no user needs them. */
const unnamed = {
  root: [
    // Injected into classes that only Nest creates.
    'DecidingStorage',
    'DeniedClients',
    'GuardOrderCheck',
    'PolicyDirectory',
    'ReferencedHits',
    'RateLimitEvents',
    'RequestLimiter',
    'Reservations',
    'ResolvedOptions',
    'RouteRules',
    'SharedSettingsService',
    'StoreLog',
    'Transports',
    // Created by Nest's builder of modules.
    'ConfigurableModuleClass',
    // Base classes of `CasStorage`, which users see as a `Storage`.
    'RecordStorage',
    'Decide',
  ],
  console: ['ResolvedConsoleOptions', 'RouteRules'], // injected
  etcd: ['RecordStorage', 'Decide'],
  postgresql: ['ServerStorage'], // users see a `Storage`
  redis: ['RedisClient', 'RedisScriptStorage'], // the base of the three; users see a `Storage`
  terminus: ['StoreHealth'], // injected
};

const entries = Object.entries(JSON.parse(readFileSync(join(projectFolder, 'package.json'), 'utf8')).exports)
  .filter(([, { import: module }]) => module !== undefined)
  .map(([path, { import: module }]) => ({
    name: path === '.' ? 'root' : basename(path),
    types: module.types,
  }));

try {
  const wrong = report();
  for (const problem of wrong) process.stderr.write(`${problem}\n`);
  if (wrong.length > 0) process.exitCode = 1;
} finally {
  rmSync(reportTempFolder, { recursive: true, force: true });
}

/** @returns {string[]} the problems */
function report() {
  const configurations = entries.map(configurationOf);
  const compilerState = CompilerState.create(configurations[0], {
    additionalEntryPoints: configurations.slice(1).map((each) => each.mainEntryPointFilePath),
  });
  const reports = entries.map(({ name }, index) => extract(name, configurations[index], compilerState));

  // The types of the root are available to users of any entry.
  const shared = new Set(reports.find(({ name }) => name === 'root').exported);
  const wrong = reports.flatMap(({ name, changed, forgotten, messages }) => [
    ...messages,
    ...(changed && options.check ? [difference(name)] : []),
    ...wrongNames(name, name === 'root' ? forgotten : forgotten.filter((type) => !shared.has(type))),
  ]);
  const known = new Set(entries.map(({ name }) => reportName(name)));
  const stale = readdirSync(reportFolder).filter((file) => file.endsWith('.md') && !known.has(file));
  return [...wrong, ...stale.map((file) => `api/${file} is the report of no entry: delete it.`)];
}

function configurationOf({ name, types }) {
  return ExtractorConfig.prepare({
    configObjectFullPath: undefined,
    packageJsonFullPath: join(projectFolder, 'package.json'),
    configObject: {
      projectFolder,
      mainEntryPointFilePath: join(projectFolder, types),
      newlineKind: 'lf',
      compiler: {
        overrideTsconfig: {
          compilerOptions: {
            target: 'es2022',
            lib: ['es2023'],
            module: 'nodenext',
            types: ['node'],
            strict: true,
            skipLibCheck: true,
          },
          files: entries.map((entry) => join(projectFolder, entry.types)),
        },
      },
      apiReport: { enabled: true, reportFileName: reportName(name), reportFolder, reportTempFolder },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        compilerMessageReporting: { default: { logLevel: 'error' } },
        extractorMessageReporting: {
          default: { logLevel: 'error' },
          'ae-forgotten-export': { logLevel: 'warning' }, // sorted out above
          'ae-missing-release-tag': { logLevel: 'none' }, // what is not public is not exported
          'ae-undocumented': { logLevel: 'none' }, // the report says so beside the name
          'ae-unresolved-link': { logLevel: 'none' }, // editors resolve more links than API Extractor does
        },
        tsdocMessageReporting: { default: { logLevel: 'none' } }, // comments follow TypeScript, not the stricter TSDoc
      },
    },
  });
}

function extract(name, configuration, compilerState) {
  const messages = [];
  const forgotten = new Set();
  const { apiReportChanged: changed } = Extractor.invoke(configuration, {
    compilerState,
    localBuild: !options.check,
    messageCallback(message) {
      message.handled = true;
      const type = /^The symbol "(\w+)" needs to be exported/.exec(message.text)?.[1];
      if (message.messageId === 'ae-forgotten-export' && type !== undefined) forgotten.add(type);
      else if (message.category !== 'console' && message.logLevel === ExtractorLogLevel.Error)
        messages.push(`${name}: ${message.formatMessageWithLocation(projectFolder)}`);
    },
  });
  const text = readFileSync(join(reportTempFolder, reportName(name)), 'utf8');
  const exported = [...text.matchAll(/^export (?:declare |abstract )*\w+ (\w+)/gm)].map(([, type]) => type);
  return { name, changed, exported, forgotten: [...forgotten].sort(), messages };
}

/** Exactly the types that are listed above may be missing. */
function wrongNames(name, forgotten) {
  const expected = unnamed[name] ?? [];
  return [
    ...forgotten
      .filter((type) => !expected.includes(type))
      .map(
        (type) =>
          `${name}: a signature names the type ${type}, which nobody can import: export it or do without.`,
      ),
    ...expected
      .filter((type) => !forgotten.includes(type))
      .map(
        (type) =>
          `${name}: no signature names the type ${type} any more: delete it in scripts/api-report.mjs.`,
      ),
  ];
}

function difference(name) {
  const file = reportName(name);
  const args = [
    'diff',
    '--no-index',
    '--no-color',
    '--no-ext-diff',
    '--',
    join(reportFolder, file),
    join(reportTempFolder, file),
  ];
  const { stdout, error } = spawnSync('git', args, { encoding: 'utf8' });
  const lines = error === undefined ? stdout.split('\n').slice(4).join('\n') : '';
  return `The public API of the entry "${name}" is not what api/${file} says (- there, + now):\n${lines}
If that is meant, run "npm run api", commit api/${file}, and write it in CHANGELOG.md.\n`;
}

function reportName(name) {
  return `${name}.api.md`;
}
