import type { OptionsLiteral } from '../configurations.js';
import { optionsNameOf } from '../guard-classes.js';
import { readsKnownDetails, withDecision } from '../guard-members.js';
import type { Project } from '../project.js';
import { bare, blockCode, limitCode, quantityOf, type Quantity } from '../quantities.js';
import { propertiesOf, valueOf } from '../objects.js';
import { settingsOf } from '../settings.js';
import type { Source } from '../source.js';
import type { ts } from '../typescript.js';
import { hasFixedWindow, storageCode } from './storage.js';
import { relativePath } from './guard-classes.js';

/**
 * Options of the module: limits as text with `scope: 'route'`, `block` where it differs from the window, the preset for the answers,
 * and a fixed window over a storage, which the throttler's Redis storage has.
 */
export function migrateModuleOptions(project: Project): void {
  const done = new Set<ts.Node>();
  for (const { source, node, call, options, problem } of project.configurations) {
    if (source.isLeft(node)) continue;
    const reasons =
      problem === undefined ? options.flatMap((literal) => problemsOf(literal, project)) : [problem];
    const [reason] = reasons;
    if (reason !== undefined) {
      source.todo(node, reason);
      continue;
    }
    const guarded = call && renameCall(source, call, project);
    for (const literal of options) {
      if (!done.has(literal.node)) rewrite(literal, project, literal.node === guarded);
      done.add(literal.node);
    }
  }
}

const MODULE_OPTIONS = [
  'throttlers',
  'ttl',
  'limit',
  'storage',
  'errorMessage',
  'skipIf',
  'ignoreUserAgents',
  'getTracker',
  'setHeaders',
  'ipv6SubnetPrefix',
];
const THROTTLER_OPTIONS = [
  'name',
  'ttl',
  'limit',
  'blockDuration',
  'getTracker',
  'skipIf',
  'ignoreUserAgents',
  'setHeaders',
  'storage',
];

function problemsOf({ source, node, throttlers }: OptionsLiteral, project: Project): string[] {
  const { ts } = source;
  const problems: string[] = [];
  if (ts.isObjectLiteralExpression(node)) {
    const properties = propertiesOf(source, node) ?? new Map<string, ts.ObjectLiteralElementLike>();
    for (const [name, property] of properties) {
      const value = valueOf(source, property);
      if (!MODULE_OPTIONS.includes(name) || value === undefined)
        problems.push(`the option "${name}" has no equivalent: see "scope" and "key"`);
      else if (name === 'storage' && storageCode(source, value, project) === undefined)
        problems.push(
          'a storage for the throttler: extend Storage or CasStorage of nestjs-limits, or use one of its storages',
        );
      else if (name === 'errorMessage' && errorMessageCode(source, value) === undefined)
        problems.push(
          '"errorMessage" reads details that a decision has elsewhere: see "errorMessage" in the guide',
        );
      else if (name === 'skipIf' && properties.has('ignoreUserAgents'))
        problems.push('combine "skipIf" and "ignoreUserAgents" to one function "skip"');
    }
  }
  for (const { source: where, node: throttler } of throttlers) {
    const settings = settingsOf(where, project.constants, throttler);
    for (const name of settings?.properties.keys() ?? [])
      if (!THROTTLER_OPTIONS.includes(name))
        problems.push(`the option "${name}" of a throttler has no equivalent: see "scope" and "key"`);
    const { limit, ttl, properties } = settings ?? {};
    if (limit === undefined || ttl === undefined || limitOf(where, limit, ttl) === undefined)
      problems.push('a throttler has a limit or a ttl that has no text');
    else if (properties?.has('skipIf') === true && properties.has('ignoreUserAgents'))
      problems.push('combine "skipIf" and "ignoreUserAgents" to one function "skip"');
  }
  return problems;
}

/** Renames the module. Returns the literal that takes the option `guard`, if it is not given beside a factory or a constant. */
function renameCall(source: Source, call: ts.CallExpression, project: Project): ts.Expression | undefined {
  const { ts } = source;
  const { expression } = call.expression as ts.PropertyAccessExpression;
  source.replace(expression, source.add('nestjs-limits', 'RateLimitModule'));
  if (!project.hasGlobalGuard && !project.hasBoundGuard && !source.isTest)
    source.note(
      call,
      'no guard of the throttler was bound, so nothing was limited; remove "guard: false" to limit',
    );
  const [argument] = call.arguments;
  if (argument === undefined) return undefined;
  const node = bare(source, argument);
  const isAsync = source.textOf(call.expression).endsWith('Async');
  if (!isAsync && (ts.isObjectLiteralExpression(node) || ts.isArrayLiteralExpression(node))) return node;
  const guard = guardCode(source, project);
  if (guard === undefined) return undefined;
  if (isAsync && ts.isObjectLiteralExpression(node)) insertFirst(source, node, [guard]);
  else {
    source.edits.insert(argument.getStart(source.file), `{ ${guard}, ...`);
    source.edits.insert(argument.end, ' }');
  }
  return undefined;
}

/** The option `guard` of the module: it binds a guard itself, unless the application binds guards by decorator only. */
function guardCode(source: Source, project: Project): string | undefined {
  const isGlobal = source.isTest
    ? project.globalGuardsIn(source).length > 0 || project.hasGlobalGuard
    : project.hasGlobalGuard;
  return isGlobal && !project.hasOwnGuard ? undefined : 'guard: false';
}

function rewrite(literal: OptionsLiteral, project: Project, takesGuard: boolean): void {
  const { source, node, list, throttlers } = literal;
  const { ts } = source;
  const spread = `...${source.add('nestjs-limits', 'throttlerCompatible')}()`;
  const guard = takesGuard ? guardCode(source, project) : undefined;
  const extras = [spread, guard, ...customOptions(source, project), ...sharedOptions(literal)].filter(
    (text) => text !== undefined,
  );
  for (const throttler of throttlers)
    rewriteThrottler(
      throttler.source,
      throttler.node,
      project,
      list?.source !== source || list.node !== node,
    );
  if (ts.isArrayLiteralExpression(node)) {
    const isParenthesized = ts.isParenthesizedExpression(node.parent);
    const needsParentheses = !isParenthesized && ts.isArrowFunction(node.parent) && node.parent.body === node;
    source.edits.insert(
      node.getStart(source.file),
      `${needsParentheses ? '(' : ''}{ ${extras.join(', ')}, limits: `,
    );
    source.edits.insert(node.end, ` }${needsParentheses ? ')' : ''}`);
    return;
  }
  if (hasFixedWindow(source, node)) extras.push(`strategy: ${source.literal('fixed-window')}`);
  insertFirst(source, node, extras);
  for (const property of node.properties) rewriteProperty(source, node, property, project);
}

function rewriteProperty(
  source: Source,
  owner: ts.ObjectLiteralExpression,
  property: ts.ObjectLiteralElementLike,
  project: Project,
): void {
  const { ts } = source;
  const value = valueOf(source, property);
  const name = property.name?.getText(source.file).replaceAll(/['"]/g, '');
  if (value === undefined || property.name === undefined) return;
  const isShort = ts.isShorthandPropertyAssignment(property);
  const rename = (to: string): void => {
    if (isShort) source.replace(property, `${to}: ${source.textOf(value)}`);
    else if (property.name !== undefined) source.replace(property.name, to);
  };
  switch (name) {
    case 'throttlers':
      rename('limits');
      break;
    case 'ttl':
    case 'limit':
      rewriteSingle(source, owner, property);
      break;
    case 'storage': {
      const code = storageCode(source, value, project);
      if (code !== undefined && code !== source.textOf(value)) source.replace(value, code);
      break;
    }
    case 'errorMessage': {
      const code = errorMessageCode(source, value);
      if (code !== undefined && code !== source.textOf(value)) source.replace(value, code);
      break;
    }
    case 'skipIf':
      rename('skip');
      break;
    case 'ipv6SubnetPrefix':
      rename('ipv6Prefix');
      break;
    case 'ignoreUserAgents':
      source.replace(property, userAgentsCode(source, value));
      break;
    case 'getTracker':
      source.replace(property, `key: ${trackerCode(source, value)}`);
      break;
    case 'setHeaders':
      if (value.kind === ts.SyntaxKind.FalseKeyword) source.replace(property, 'headers: false');
      else source.removeFromList(property, owner.properties);
      break;
    case undefined:
    default:
  }
}

/** The options of version 4: one throttler, whose ttl is in seconds. */
function rewriteSingle(
  source: Source,
  owner: ts.ObjectLiteralExpression,
  property: ts.ObjectLiteralElementLike,
): void {
  const properties = propertiesOf(source, owner);
  const [limit, ttl] = ['limit', 'ttl'].map((name) => properties?.get(name));
  const [limitValue, ttlValue] = [limit, ttl].map((one) => one && valueOf(source, one));
  if (limitValue === undefined || ttlValue === undefined || limit === undefined || ttl === undefined) return;
  const first = limit.pos < ttl.pos ? limit : ttl;
  if (property !== first) {
    source.removeFromList(property, owner.properties);
    return;
  }
  const text = limitCode(source, quantityOf(source, limitValue), inSeconds(quantityOf(source, ttlValue)));
  source.replace(property, `limits: [{ limits: ${text ?? ''}, scope: ${source.literal('route')} }]`);
  source.note(property, 'the ttl was read as seconds, as in version 4 of the throttler and before');
}

/** Reads the ttl of version 4. */
export function inSeconds(ttl: Quantity): Quantity {
  return ttl.kind === 'number'
    ? { kind: 'number', value: ttl.value * 1000 }
    : { kind: 'code', text: ttl.text, unit: 'second' };
}

function rewriteThrottler(
  source: Source,
  node: ts.ObjectLiteralExpression,
  project: Project,
  isApart: boolean,
): void {
  const { ts } = source;
  const settings = settingsOf(source, project.constants, node);
  const [limit, ttl] = ['limit', 'ttl'].map((name) => settings?.properties.get(name));
  if (settings?.limit === undefined || settings.ttl === undefined || limit === undefined || ttl === undefined)
    return;
  const text = limitOf(source, settings.limit, settings.ttl);
  if (text === undefined) return;
  noteShortWindow(source, node, settings.ttl);
  const [first, second] = limit.pos < ttl.pos ? [limit, ttl] : [ttl, limit];
  source.replace(first, `limits: ${text}`);
  const phase =
    project.phase === undefined
      ? ''
      : `, phase: ${source.literal(project.phase)}${isApart && isInFunction(source, node) ? ' as const' : ''}`;
  source.replace(second, `scope: ${source.literal('route')}${phase}`);
  for (const [name, property] of settings.properties) {
    const value = valueOf(source, property);
    if (value === undefined) continue;
    if (name === 'blockDuration') {
      const block = blockCode(source, settings.blockDuration, settings.ttl);
      if (block === undefined) source.removeFromList(property, node.properties);
      else source.replace(property, `block: ${block}`);
    } else if (name === 'skipIf') {
      if (ts.isPropertyAssignment(property)) source.replace(property.name, 'skip');
      else source.replace(property, 'skip: skipIf');
    } else if (name === 'ignoreUserAgents') source.replace(property, userAgentsCode(source, value));
    else if (name === 'getTracker') source.replace(property, `key: ${trackerCode(source, value)}`);
    else if (name === 'setHeaders' || name === 'storage') {
      source.removeFromList(property, node.properties);
      if (name === 'storage')
        source.note(
          property,
          'a throttler had the option "storage", which the throttler ignores: it was removed',
        );
    }
  }
}

/** Versions before 5 counted seconds, and some applications still do. */
export function noteShortWindow(source: Source, node: ts.Node, ttl: Quantity): void {
  if (ttl.kind === 'number' && ttl.value < 1000)
    source.note(
      node,
      `a window of ${ttl.value} ms, as in the throttler since version 5: were seconds meant?`,
    );
}

/** Writes the limit of a throttler, whose limit or ttl may be functions. */
function limitOf(source: Source, limit: Quantity, ttl: Quantity): string | undefined {
  const isFunction = (quantity: Quantity): boolean =>
    quantity.kind === 'code' &&
    /^\((async\s*)?(\(|\w+\s*=>)/.test(quantity.text) &&
    quantity.text.includes('=>');
  if (!isFunction(limit) && !isFunction(ttl)) return limitCode(source, limit, ttl);
  const called = (quantity: Quantity): Quantity =>
    isFunction(quantity) && quantity.kind === 'code'
      ? { kind: 'code', text: `await ${quantity.text}(context)`, unit: quantity.unit }
      : quantity;
  const text = limitCode(source, called(limit), called(ttl));
  return text && `async (context) => ${text}`;
}

/** `headers: false`, if no throttler of the module sends them. */
function sharedOptions({ throttlers }: OptionsLiteral): (string | undefined)[] {
  const isOff = ({ source, node }: OptionsLiteral['throttlers'][number]): boolean => {
    const property = propertiesOf(source, node)?.get('setHeaders');
    const value = property && valueOf(source, property);
    return value?.kind === source.ts.SyntaxKind.FalseKeyword;
  };
  return throttlers.length > 0 && throttlers.every(isOff) ? ['headers: false'] : [];
}

/** The options that take the place of a guard of the application. */
function customOptions(source: Source, project: Project): string[] {
  const guard = project.customGuard;
  if (guard === undefined) return [];
  if (guard.members.length === 0) return [...guard.inline];
  const name = optionsNameOf(guard.name);
  if (guard.source !== source) source.add(relativePath(source, guard.source), name);
  return [`...${name}`];
}

/** Converts a function `getTracker`. */
function trackerCode(source: Source, value: ts.Expression): string {
  const { ts } = source;
  const node = bare(source, value);
  const request = 'context.switchToHttp().getRequest()';
  if (!ts.isArrowFunction(node)) return `(context) => ${source.textOf(value)}(${request}, context)`;
  const [parameter] = node.parameters;
  const name = parameter === undefined ? undefined : parameter.name.getText(source.file);
  if (name === undefined) return `() => ${source.textOf(node.body)}`;
  const user = /^req\w*\.user\??\.(id|userId|sub|_id)(?:(?:\?\?|\|\|)req\w*\.ip)?$/.exec(
    source.textOf(node.body).replace(/\s+/g, ''),
  );
  if (user !== null) return source.literal('user');
  const isAsync = node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword) === true;
  const start = `${isAsync ? 'async ' : ''}(${node.parameters[1]?.name.getText(source.file) ?? 'context'}) => {`;
  const declared = `const ${name} = ${request};`;
  if (!ts.isBlock(node.body)) return `${start} ${declared} return ${source.textOf(node.body)}; }`;
  return `${start} ${declared}${source.textOf(node.body).slice(1)}`;
}

function userAgentsCode(source: Source, value: ts.Expression): string {
  const requestOf = source.add('nestjs-limits', 'requestOf');
  return `skip: (context) => ${source.textOf(value)}.some((agent) => agent.test(String(${requestOf}(context)?.headers?.['user-agent'])))`;
}

/** Converts `errorMessage`: a text stays, and a function gets the decision instead of the details. */
function errorMessageCode(source: Source, value: ts.Expression): string | undefined {
  const { ts } = source;
  const node = bare(source, value);
  if (!ts.isArrowFunction(node))
    return ts.isIdentifier(node) || ts.isFunctionExpression(node) ? undefined : source.textOf(value);
  const [context, detail] = node.parameters;
  if (context === undefined) return source.textOf(value);
  if (!readsKnownDetails(source, detail, node.body)) return undefined;
  const body = withDecision(source, node.body, detail?.name.getText(source.file));
  return `(decision, ${context.name.getText(source.file)}) => ${body}`;
}

function insertFirst(source: Source, node: ts.ObjectLiteralExpression, codes: readonly string[]): void {
  const [first] = node.properties;
  const separator =
    first !== undefined && source.isFirstInLine(first) ? `,\n${source.indentOf(first)}` : ', ';
  const code = codes.join(separator);
  if (first === undefined) source.edits.insert(node.getStart(source.file) + 1, ` ${code} `);
  else source.edits.insert(first.getStart(source.file), code + separator);
}

function isInFunction({ ts }: Source, node: ts.Node): boolean {
  for (let at: ts.Node | undefined = node.parent; at !== undefined; at = at.parent) {
    if (ts.isFunctionLike(at)) return true;
  }
  return false;
}
