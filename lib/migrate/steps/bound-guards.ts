import type { Project } from '../project.js';
import type { Source } from '../source.js';
import type { ts } from '../typescript.js';

/**
 * The global guard: its entry goes, since the module binds one. If the tracker reads the user, a `RateLimitGuard` stays where the
 * throttler's stood, after the guard that authenticates.
 */
export function migrateGlobalGuard(source: Source, project: Project): void {
  const { ts } = source;
  for (const { entry, guard } of project.globalGuardsIn(source)) {
    const known = project.guardAt(source, guard);
    if (source.isLeft(entry) || (known !== 'throttler' && known?.fate !== 'merge')) continue;
    const isExtended = project.hasOwnGuard;
    if (project.phase === undefined && !isExtended && ts.isArrayLiteralExpression(entry.parent))
      source.removeFromList(entry, entry.parent.elements);
    else source.replace(guard, source.add('nestjs-limits', 'RateLimitGuard'));
  }
}

/** Guards that are bound by decorator, provided or overridden in tests: `RateLimitGuard` takes their place. */
export function migrateBoundGuards(source: Source, project: Project): void {
  const { ts } = source;
  const used = source.identifiers.filter((node) => {
    const guard = project.guardAt(source, node);
    if (guard === undefined || isName(node) || source.edits.covers(node.getStart(source.file))) return false;
    if (guard === 'throttler') return !isBase(source, node);
    const isInClass = guard.source === source && guard.node.pos <= node.pos && node.end <= guard.node.end;
    return guard.fate === 'merge' && !ts.isExportSpecifier(node.parent) && !isInClass;
  });
  for (const name of new Set(used.map(({ text }) => text))) {
    const nodes = used.filter(({ text }) => text === name);
    const alone = nodes.find((node) => !isReplaceable(source, node));
    if (alone !== undefined) {
      source.todo(
        alone,
        `${name} is used by itself: RateLimitGuard has other parameters and no methods to override but canActivate`,
      );
      continue;
    }
    for (const node of nodes) {
      if (source.isLeft(node)) continue;
      source.replace(node, source.add('nestjs-limits', 'RateLimitGuard'));
      if (!project.hasBoundGuard) overrideProvider(source, node.parent);
    }
  }
}

function isBase({ ts }: Source, { parent }: ts.Identifier): boolean {
  return ts.isExpressionWithTypeArguments(parent);
}

function isName(node: ts.Identifier): boolean {
  return 'name' in node.parent && node.parent.name === node;
}

/** Lists of guards, providers and exports, values of `useClass` and `provide`, `overrideGuard`, and types. */
function isReplaceable({ ts }: Source, { parent }: ts.Identifier): boolean {
  return (
    ts.isArrayLiteralExpression(parent) ||
    ts.isPropertyAssignment(parent) ||
    ts.isTypeReferenceNode(parent) ||
    (ts.isCallExpression(parent) &&
      /UseGuards|overrideGuard|overrideProvider|^get$|\.get$|\.resolve$/.test(parent.expression.getText()))
  );
}

/** The guard of the module is a provider, which tests override as such; guards that are bound by decorator are not. */
function overrideProvider(source: Source, call: ts.Node): void {
  const { ts } = source;
  if (!ts.isCallExpression(call) || !ts.isPropertyAccessExpression(call.expression)) return;
  const { name } = call.expression;
  if (name.text === 'overrideGuard') source.replace(name, 'overrideProvider');
}
