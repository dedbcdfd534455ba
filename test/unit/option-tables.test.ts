import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const ROOT = process.cwd();

/** Interfaces of options, the file of each, and the file that holds their table. */
const TABLES = [
  ['RateLimitModuleOptions', 'lib/nest/options/rate-limit.options.ts', 'lib/nest/options/module-options.ts'],
  ['RateLimitModuleExtras', 'lib/nest/options/rate-limit.options.ts', 'lib/nest/options/module-options.ts'],
  ['RateLimitHeaders', 'lib/nest/options/rate-limit.options.ts', 'lib/nest/options/module-options.ts'],
  ['LegacyHeaders', 'lib/http/header-fields.ts', 'lib/nest/options/module-options.ts'],
  ['BlockAfterRefusals', 'lib/policies/block-option.ts', 'lib/policies/block-option.ts'],
  ['WaitInstead', 'lib/policies/wait-option.ts', 'lib/policies/wait-option.ts'],
  ['LimitsWithOptions', 'lib/policies/given-limits.ts', 'lib/policies/given-limits.ts'],
  ['PolicyOptions', 'lib/policies/policy.ts', 'lib/policies/policy-options.ts'],
  ['Rule', 'lib/policies/rules.ts', 'lib/policies/rules.ts'],
  ['ResilienceOptions', 'lib/resilience/resilience.options.ts', 'lib/resilience/resilience.options.ts'],
  ['LeaseOptions', 'lib/resilience/resilience.options.ts', 'lib/resilience/resilience.options.ts'],
] as const;

const newOptionOf = (name: string): string => `newOptionOf${name}`;

/** Adds an option to each interface, and returns the compiler's errors for each file. */
function compileWithNewOptions(): ReadonlyMap<string, readonly string[]> {
  const files = new Map<string, string>();
  for (const [name, file] of TABLES) {
    const path = join(ROOT, file);
    const source = files.get(path) ?? readFileSync(path, 'utf8');
    const changed = source.replace(
      new RegExp(`export interface ${name}\\b[^{]*\\{`),
      (opening) => `${opening}\n  ${newOptionOf(name)}?: string | undefined;`,
    );
    files.set(path, changed);
  }
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT);
  const host = ts.createCompilerHost(options);
  const { readFile } = host;
  host.readFile = (path) => files.get(path) ?? readFile(path);
  const tables = [...new Set(TABLES.map(([, , table]) => table))];
  const program = ts.createProgram(
    tables.map((table) => join(ROOT, table)),
    options,
    host,
  );
  return new Map(
    tables.map((table) => [
      table,
      program
        .getSemanticDiagnostics(program.getSourceFile(join(ROOT, table)))
        .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
    ]),
  );
}

describe('A table of options', () => {
  const problems = compileWithNewOptions();

  it.each(TABLES)('does not compile when %s has an option that is missing from it', (name, _file, table) => {
    const isMissing = new RegExp(
      `missing .*\\b${newOptionOf(name)}\\b|\\b${newOptionOf(name)}\\b.* missing `,
    );
    expect(problems.get(table)?.filter((problem) => isMissing.test(problem))).not.toEqual([]);
  });
});
