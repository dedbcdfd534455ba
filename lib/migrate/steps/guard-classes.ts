import { optionsNameOf, type GuardClass } from '../guard-classes.js';
import { withDecision, type GuardMember, type Method } from '../guard-members.js';
import type { Project } from '../project.js';
import type { Source } from '../source.js';
import type { ts } from '../typescript.js';

/**
 * Guards of the application that extend the throttler's. What they override becomes options of the module: in place, as a constant,
 * so that the code keeps its imports and comments; a guard without such code goes.
 */
export function migrateGuardClasses(project: Project): void {
  for (const guard of project.guards.values()) {
    const { source, node, fate, reason } = guard;
    if (source.isLeft(node)) continue;
    if (fate === 'hand') source.todo(node, reason);
    else if (fate === 'extend') extendGuard(source, node);
    else if (guard.members.length > 0) toConstant(guard);
    else removeClass(source, node);
  }
}

function extendGuard(source: Source, node: ts.ClassDeclaration): void {
  for (const base of source.all(source.ts.isExpressionWithTypeArguments, node))
    if (source.isThrottlerName(base.expression, 'ThrottlerGuard'))
      source.replace(base.expression, source.add('nestjs-limits', 'RateLimitGuard'));
}

function removeClass(source: Source, node: ts.ClassDeclaration): void {
  const { ts } = source;
  source.remove(node);
  const isExported = (statement: ts.Statement): boolean => /^export\b/.test(source.textOf(statement));
  const others = source.file.statements.filter(
    (statement) =>
      statement !== node &&
      !ts.isImportDeclaration(statement) &&
      !(
        (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)) &&
        !isExported(statement)
      ),
  );
  source.isRemoved = others.length === 0;
}

function toConstant(guard: GuardClass): void {
  const { source, node, members, inline } = guard;
  const { ts } = source;
  const isExported = node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true;
  const type = source.add('nestjs-limits', 'RateLimitModuleOptions', true);
  const kept = new Map(members.map((member) => [member.node as ts.Node, member]));
  const head = `${isExported ? 'export ' : ''}const ${optionsNameOf(guard.name)}: ${type} = {`;
  const start = node.getStart(source.file);
  const opening = source.text.indexOf('{', (node.heritageClauses?.at(-1) ?? node).end);
  source.edits.replace(start, opening + 1, head);
  for (const member of node.members) {
    const known = kept.get(member);
    if (known === undefined) source.remove(member);
    else rewriteMember(guard, known);
  }
  const isRefusal = members.some(({ option }) => option === 'errorFactory');
  const extras = [...inline, ...(isRefusal ? ['errorFormat: undefined'] : [])];
  const indent = source.indentOf(members[0]?.node ?? node);
  if (extras.length > 0) source.edits.insert(opening + 1, `\n${indent}${extras.join(`,\n${indent}`)},`);
  source.edits.replace(node.end - 1, node.end, '};');
}

function rewriteMember(guard: GuardClass, { node, option }: GuardMember): void {
  const { source } = guard;
  const { ts } = source;
  const { body } = node;
  const isAsync = node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword) === true;
  const [first, second] = node.parameters.map(({ name }) => name.getText(source.file));
  const start = node.getStart(source.file);
  const bodyStart = body.getStart(source.file);
  const indent = source.indentOf(node);
  const unit = indent.includes('\t') ? '\t' : indent;
  const asyncText = isAsync ? 'async ' : '';
  const detail = option === 'errorFactory' || option === 'errorMessage' ? second : undefined;
  const code = source.textOf(body);
  const context = option === 'key' || option === 'clientIp' ? (second ?? 'context') : (first ?? 'context');
  let head = `${option}: ${asyncText}(${context}) => {`;
  if (option === 'errorFactory' || option === 'errorMessage') {
    const usesContext = first !== undefined && new RegExp(`\\b${first}\\b`).test(code);
    const usesDetail = detail !== undefined && new RegExp(`\\b${detail}\\b`).test(code);
    const parameters = [
      ...(usesContext || usesDetail ? [usesDetail ? 'decision' : '_decision'] : []),
      ...(usesContext ? [first] : []),
    ];
    head = `${option}: ${option === 'errorFactory' ? '' : asyncText}(${parameters.join(', ')}) => {`;
  } else if (first !== undefined && (option === 'key' || option === 'clientIp')) {
    head += `\n${indent}${unit}const ${first} = ${requestCode(guard, node)};`;
  }
  source.edits.replace(start, bodyStart + 1, head);
  rewriteBody(source, node, detail);
  source.edits.insert(node.end, ',');
}

function requestCode({ source, readsGraphql }: GuardClass, { parameters }: ts.MethodDeclaration): string {
  const type = parameters[0]?.type?.getText(source.file);
  const argument = type === undefined || /^Record<|^any$|^object$/.test(type) ? undefined : type;
  if (readsGraphql) return `${source.add('nestjs-limits', 'requestOf')}(context) as ${argument ?? 'any'}`;
  return `context.switchToHttp().getRequest${argument === undefined ? '' : `<${argument}>`}()`;
}

/** Replaces calls of the base class, `throw` of a refusal, and the details of the throttler. */
function rewriteBody(source: Source, { name, body }: Method, detail: string | undefined): void {
  const { ts } = source;
  for (const call of source.all(ts.isCallExpression, body)) {
    const { expression } = call;
    if (
      !ts.isPropertyAccessExpression(expression) ||
      expression.expression.kind !== ts.SyntaxKind.SuperKeyword
    )
      continue;
    // The library's own identity, and a request that is not skipped.
    const value = expression.name.text === 'getTracker' ? 'undefined' : 'false';
    source.replace(ts.isAwaitExpression(call.parent) ? call.parent : call, value);
  }
  const last = body.statements.at(-1);
  if (name.getText(source.file) === 'throwThrottlingException' && last !== undefined) {
    const position = last.getStart(source.file);
    source.edits.replace(position, position + 'throw'.length, 'return');
  }
  if (detail === undefined) return;
  for (const access of source.all(ts.isPropertyAccessExpression, body))
    if (source.textOf(access.expression) === detail)
      source.replace(access, withDecision(source, access, detail));
}

/** Returns the specifier by which one file imports another. */
export function relativePath(from: Source, to: Source): string {
  const folders = from.path.split('/').slice(0, -1);
  const target = to.path.replace(/\.[cm]?tsx?$/, '').split('/');
  let shared = 0;
  while (shared < folders.length && folders[shared] === target[shared]) shared++;
  const up = folders.slice(shared).map(() => '..');
  const hasExtensions = from.imports.some(({ module }) => /^\.{1,2}\/.*\.js$/.test(module));
  return `${up.length === 0 ? './' : `${up.join('/')}/`}${target.slice(shared).join('/')}${hasExtensions ? '.js' : ''}`;
}
