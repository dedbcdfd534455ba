import type { OptionsLiteral } from '../configurations.js';
import { optionsNameOf } from '../guard-classes.js';
import type { Project } from '../project.js';
import { bare, blockCode, inSeconds, limitCode, type Quantity } from '../quantities.js';
import { propertiesOf, valueOf, type Located } from '../objects.js';
import { nameProblem, settingsOf, type Settings } from '../settings.js';
import type { Source } from '../source.js';
import type { ts } from '../typescript.js';
import { relativePath } from './guard-classes.js';
import { errorMessageCode, trackerCode, typedLiteral, userAgentsCode } from './option-values.js';
import { storageWriter } from './storage.js';

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

const COMBINED = 'combine "skipIf" and "ignoreUserAgents" to one function "skip"';
const SWITCHED = '"setHeaders" is neither true nor false: see "headers"';
const NO_TEXT = 'a throttler has a limit or a ttl that has no text';

function problemsOf(literal: OptionsLiteral, project: Project): string[] {
  const { source, list, throttlers, properties } = literal;
  const problems: string[] = [];
  for (const [name, property] of properties) {
    const value = valueOf(source, property);
    if (!MODULE_OPTIONS.includes(name))
      problems.push(`the option "${name}" has no equivalent: see "scope" and "key"`);
    else if (value === undefined) problems.push(`the option "${name}" is a method: write it as a function`);
    else if (name === 'storage' && storageWriter(source, value, project) === undefined)
      problems.push(
        'a storage for the throttler: extend Storage or CasStorage of nestjs-limits, or use one of its storages',
      );
    else if (name === 'errorMessage' && errorMessageCode(source, value) === undefined)
      problems.push(
        '"errorMessage" reads details that a decision has elsewhere: see "errorMessage" in the guide',
      );
    else if (name === 'skipIf' && properties.has('ignoreUserAgents')) problems.push(COMBINED);
    else if (name === 'setHeaders' && !isBoolean(source, value)) problems.push(SWITCHED);
  }
  if (list === undefined && singleCode(literal, project) === undefined) problems.push(NO_TEXT);
  for (const throttler of throttlers) {
    const settings = settingsOf(throttler.source, project.constants, throttler.node);
    for (const [name, property] of settings?.properties ?? []) {
      const value = valueOf(throttler.source, property);
      if (!THROTTLER_OPTIONS.includes(name))
        problems.push(`the option "${name}" of a throttler has no equivalent: see "scope" and "key"`);
      else if (value === undefined)
        problems.push(`the option "${name}" of a throttler is a method: write it as a function`);
      else if (name === 'skipIf' && settings?.properties.has('ignoreUserAgents') === true)
        problems.push(COMBINED);
      else if (name === 'setHeaders' && !isBoolean(throttler.source, value)) problems.push(SWITCHED);
    }
    const name = settings && project.nameOf(throttler.source, settings);
    const wrongName = name && nameProblem(name);
    if (wrongName !== undefined) problems.push(wrongName);
    if (readThrottler(throttler, project) === undefined) problems.push(NO_TEXT);
  }
  return problems;
}

function isBoolean({ ts }: Source, { kind }: ts.Expression): boolean {
  return kind === ts.SyntaxKind.TrueKeyword || kind === ts.SyntaxKind.FalseKeyword;
}

interface KnownThrottler {
  readonly text: string;
  readonly ttl: Quantity;
  readonly settings: Settings;
}

/** Reads a throttler whose limit has a text. */
function readThrottler(
  { source, node }: Located<ts.ObjectLiteralExpression>,
  project: Project,
): KnownThrottler | undefined {
  const settings = settingsOf(source, project.constants, node);
  if (settings?.limit === undefined || settings.ttl === undefined) return undefined;
  const text = limitOf(source, settings.limit, settings.ttl);
  return text === undefined ? undefined : { text, ttl: settings.ttl, settings };
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
  const { source, node, throttlers, properties } = literal;
  const { ts } = source;
  const spread = `...${source.add('nestjs-limits', 'throttlerCompatible')}()`;
  const guard = takesGuard ? guardCode(source, project) : undefined;
  const extras = [spread, guard, ...customOptions(source, project), ...sharedOptions(literal)].filter(
    (text) => text !== undefined,
  );
  for (const throttler of throttlers) rewriteThrottler(throttler, project);
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
  // The storages for the throttler count fixed windows, its own memory moving ones.
  if (properties.has('storage')) extras.push(`strategy: ${typedLiteral(source, node, 'fixed-window')}`);
  insertFirst(source, node, extras);
  for (const [name, property] of properties) {
    const value = valueOf(source, property);
    if (name === 'ttl' || name === 'limit') rewriteSingle(literal, node, name, property, project);
    else if (value !== undefined) rewriteProperty(source, node, { name, property, value }, project);
  }
}

interface GivenOption {
  readonly name: string;
  readonly property: ts.ObjectLiteralElementLike;
  readonly value: ts.Expression;
}

function rewriteProperty(
  source: Source,
  owner: ts.ObjectLiteralExpression,
  { name, property, value }: GivenOption,
  project: Project,
): void {
  const { ts } = source;
  if (name === 'throttlers') rename(source, property, value, 'limits');
  else if (name === 'skipIf') rename(source, property, value, 'skip');
  else if (name === 'ipv6SubnetPrefix') rename(source, property, value, 'ipv6Prefix');
  else if (name === 'ignoreUserAgents') source.replace(property, userAgentsCode(source, value));
  else if (name === 'getTracker') source.replace(property, `key: ${trackerCode(source, value, project)}`);
  else if (name === 'storage' || name === 'errorMessage') {
    const code =
      name === 'storage' ? storageWriter(source, value, project)?.() : errorMessageCode(source, value);
    if (code !== undefined && code !== source.textOf(value)) source.replace(property, `${name}: ${code}`);
  } else if (value.kind === ts.SyntaxKind.FalseKeyword) source.replace(property, 'headers: false');
  else source.removeFromList(property, owner.properties);
}

/** Gives an option another name, and keeps its value. */
function rename(
  source: Source,
  property: ts.ObjectLiteralElementLike,
  value: ts.Expression,
  name: string,
): void {
  if (source.ts.isPropertyAssignment(property)) source.replace(property.name, name);
  else source.replace(property, `${name}: ${source.textOf(value)}`);
}

/** The options of version 4: one throttler, whose ttl is in seconds. */
function rewriteSingle(
  literal: OptionsLiteral,
  owner: ts.ObjectLiteralExpression,
  name: string,
  property: ts.ObjectLiteralElementLike,
  project: Project,
): void {
  const { source, properties } = literal;
  const [first] = [...properties.keys()].filter((one) => one === 'limit' || one === 'ttl');
  if (name !== first) {
    source.removeFromList(property, owner.properties);
    return;
  }
  const scope = `scope: ${source.literal('route')}${phaseCode(source, owner, project)}`;
  source.replace(property, `limits: [{ limits: ${singleCode(literal, project) ?? ''}, ${scope} }]`);
  source.note(property, 'the ttl was read as seconds, as in version 4 of the throttler and before');
}

/** Writes the limit of the options of version 4. */
function singleCode({ source, node }: OptionsLiteral, project: Project): string | undefined {
  const { limit, ttl } = settingsOf(source, project.constants, node) ?? {};
  return limit && ttl && limitOf(source, limit, inSeconds(ttl));
}

function rewriteThrottler(throttler: Located<ts.ObjectLiteralExpression>, project: Project): void {
  const { source, node } = throttler;
  const known = readThrottler(throttler, project);
  if (known === undefined) return;
  const { text, ttl, settings } = known;
  noteShortWindow(source, node, ttl);
  const [first] = [...settings.properties.keys()].filter((name) => name === 'limit' || name === 'ttl');
  for (const [name, property] of settings.properties) {
    const value = valueOf(source, property);
    if (name === first) source.replace(property, `limits: ${text}`);
    else if (name === 'limit' || name === 'ttl')
      source.replace(property, `scope: ${source.literal('route')}${phaseCode(source, node, project)}`);
    else if (name === 'blockDuration') {
      const block = blockCode(source, settings.blockDuration, ttl);
      if (block === undefined) source.removeFromList(property, node.properties);
      else source.replace(property, `block: ${block}`);
    } else if (name === 'setHeaders' || name === 'storage') {
      source.removeFromList(property, node.properties);
      if (name === 'storage')
        source.note(
          property,
          'a throttler had the option "storage", which the throttler ignores: it was removed',
        );
    } else if (value !== undefined) {
      if (name === 'skipIf') rename(source, property, value, 'skip');
      else if (name === 'ignoreUserAgents') source.replace(property, userAgentsCode(source, value));
      else if (name === 'getTracker') source.replace(property, `key: ${trackerCode(source, value, project)}`);
    }
  }
}

/** The option `phase` of a limit, if the tracker reads the user. */
function phaseCode(source: Source, node: ts.Node, project: Project): string {
  return project.phase === undefined ? '' : `, phase: ${typedLiteral(source, node, project.phase)}`;
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
      ? {
          kind: 'code',
          text: `await ${quantity.text}(${hasNoParameters(quantity.text) ? '' : 'context'})`,
          unit: quantity.unit,
        }
      : quantity;
  const text = limitCode(source, called(limit), called(ttl));
  return text && `async (context) => ${text}`;
}

function hasNoParameters(code: string): boolean {
  return /^\((async\s*)?\(\s*\)/.test(code);
}

/** `headers: false`, if no throttler of the module sends them and the module does not say so itself. */
function sharedOptions({ source, node, throttlers, properties }: OptionsLiteral): string[] {
  const isOff = (where: Source, property: ts.ObjectLiteralElementLike | undefined): boolean => {
    const value = property && valueOf(where, property);
    return value?.kind === source.ts.SyntaxKind.FalseKeyword;
  };
  const off = throttlers.filter((one) =>
    isOff(one.source, propertiesOf(one.source, one.node)?.get('setHeaders')),
  );
  if (off.length === 0 || isOff(source, properties.get('setHeaders'))) return [];
  if (off.length === throttlers.length) return ['headers: false'];
  source.note(node, 'some throttlers send no fields, and others do: now all limits send them');
  return [];
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

function insertFirst(source: Source, node: ts.ObjectLiteralExpression, codes: readonly string[]): void {
  const [first] = node.properties;
  const separator =
    first !== undefined && source.isFirstInLine(first) ? `,\n${source.indentOf(first)}` : ', ';
  const code = codes.join(separator);
  if (first === undefined) source.edits.insert(node.getStart(source.file) + 1, ` ${code} `);
  else source.edits.insert(first.getStart(source.file), code + separator);
}
