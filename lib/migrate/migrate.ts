import { Project } from './project.js';
import { Source, type Finding, type SourceText } from './source.js';
import { migrateBoundGuards, migrateGlobalGuard } from './steps/bound-guards.js';
import { migrateExceptions } from './steps/exceptions.js';
import { migrateExports } from './steps/exports.js';
import { migrateGuardClasses } from './steps/guard-classes.js';
import { migrateImports } from './steps/imports.js';
import { reportLeftovers } from './steps/leftovers.js';
import { migrateModuleOptions } from './steps/module-options.js';
import { migrateNames } from './steps/names.js';
import { migrateSkipThrottle } from './steps/skip-decorator.js';
import { migrateThrottle } from './steps/throttle-decorator.js';
import type { TypeScript } from './typescript.js';

/** A file that changes. */
export interface MigratedFile {
  readonly path: string;
  readonly before: string;
  /** `undefined` for a file that is removed, since nothing but imports would be left in it. */
  readonly after: string | undefined;
}

/** The result for all files of an application. */
export interface Migration {
  readonly changed: readonly MigratedFile[];
  readonly findings: readonly Finding[];
  /** Paths of the files that use the throttler, or a guard that extends its. */
  readonly concerned: readonly string[];
}

/** Moves the files of an application from `@nestjs/throttler` to this library. A second run changes nothing. */
export function migrate(ts: TypeScript, files: readonly SourceText[]): Migration {
  const sources = files.map(({ path, text }) => new Source(ts, path, text));
  const project = new Project(sources);
  const names = [...project.guards.keys()];
  const concerned = sources.filter(
    (source) =>
      source.usesThrottler ||
      names.some((name) => source.text.includes(name)) ||
      source.imports.some(
        ({ imported, module }) =>
          imported === 'default' && project.defaultGuardAt(source, module) !== undefined,
      ),
  );
  migrateGuardClasses(project);
  migrateModuleOptions(project);
  for (const source of concerned) {
    migrateGlobalGuard(source, project);
    migrateBoundGuards(source, project);
    migrateThrottle(source, project);
    migrateSkipThrottle(source, project);
    migrateExceptions(source);
    migrateNames(source, project);
    reportLeftovers(source);
  }
  for (const source of sources) migrateExports(source, project);
  for (const source of sources) migrateImports(source);
  return {
    changed: sources.flatMap(({ path, text, edits, isRemoved }) => {
      const after = isRemoved ? undefined : edits.apply(text);
      return after === text ? [] : [{ path, before: text, after }];
    }),
    findings: sources.flatMap(({ findings }) => findings),
    concerned: concerned.map(({ path }) => path),
  };
}
