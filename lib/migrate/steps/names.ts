import type { Project } from '../project.js';
import { TODO, type Source } from '../source.js';

/** Names that are the same thing in this library. */
const NAMES: Readonly<Record<string, string>> = {
  ThrottlerModule: 'RateLimitModule',
  ThrottlerModuleOptions: 'RateLimitModuleOptions',
  ThrottlerOptionsFactory: 'RateLimitOptionsFactory',
  ThrottlerAsyncOptions: 'RateLimitModuleAsyncOptions',
  ThrottlerOptions: 'RateLimitDeclaration',
};

/** Types and the module itself, where nothing but the name changes. */
export function migrateNames(source: Source, project: Project): void {
  const { ts } = source;
  const isLeft = project.configurations.some((one) => one.source === source && one.problem !== undefined);
  if (isLeft || source.text.includes(TODO) || source.findings.some(({ kind }) => kind === 'todo')) return;
  for (const node of source.identifiers) {
    const { parent } = node;
    const isProperty = ts.isPropertyAccessExpression(parent) && parent.name === node;
    const [, name] = Object.entries(NAMES).find(([one]) => source.isThrottlerName(node, one)) ?? [];
    if (name === undefined || isProperty || source.edits.covers(node.getStart(source.file))) continue;
    const isType = ts.isTypeReferenceNode(parent) || ts.isExpressionWithTypeArguments(parent);
    source.replace(node, source.add('nestjs-limits', name, isType));
  }
  for (const method of source.all(ts.isMethodDeclaration))
    if (method.name.getText(source.file) === 'createThrottlerOptions' && source.usesThrottler)
      source.replace(method.name, 'createRateLimitOptions');
}
