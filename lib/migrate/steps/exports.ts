import { optionsNameOf } from '../guard-classes.js';
import type { Project } from '../project.js';
import { resolvedPath, withoutExtension, type Source } from '../source.js';

/** Exports of guards that became options of the module, and of files that are gone. */
export function migrateExports(source: Source, project: Project): void {
  const { ts } = source;
  for (const statement of source.file.statements) {
    if (!ts.isExportDeclaration(statement) || statement.moduleSpecifier === undefined) continue;
    const target = resolvedPath(source, statement.moduleSpecifier.getText(source.file).slice(1, -1));
    const isGone = project.sources.some(
      (other) => other.isRemoved && withoutExtension(other.path) === target,
    );
    if (isGone) {
      source.remove(statement);
      continue;
    }
    const { exportClause } = statement;
    if (exportClause === undefined || !ts.isNamedExports(exportClause)) continue;
    for (const specifier of exportClause.elements) {
      const guard = project.guards.get((specifier.propertyName ?? specifier.name).text);
      if (guard?.fate !== 'merge') continue;
      if (guard.members.length > 0) source.replace(specifier, optionsNameOf(guard.name));
      else if (exportClause.elements.length === 1) source.remove(statement);
      else source.removeFromList(specifier, exportClause.elements);
    }
  }
}
