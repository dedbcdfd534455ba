import { convertMember, isMethod, tracksUser, type GuardMember, type Method } from './guard-members.js';
import type { Source } from './source.js';
import type { ts } from './typescript.js';

/**
 * A class of the application that extends `ThrottlerGuard`.
 *
 * - `merge`: its overrides become options of the module, and the class goes
 * - `extend`: it overrides `canActivate` only, and extends `RateLimitGuard` instead
 * - `hand`: left as it is, for a reason
 */
export interface GuardClass {
  readonly name: string;
  readonly source: Source;
  readonly node: ts.ClassDeclaration;
  fate: 'merge' | 'extend' | 'hand';
  reason: string;
  /** False if the class counts as `RateLimitGuard` does without options. */
  readonly hasOptions: boolean;
  /** Options of the module that are short enough to be written there. */
  readonly inline: readonly string[];
  /** Members that become functions of a constant, which takes the place of the class. */
  readonly members: readonly GuardMember[];
  readonly readsUser: boolean;
  readonly readsGraphql: boolean;
}

/** Members of the base class whose overrides as properties are not converted. */
const OVERRIDES = new Set([
  'getTracker',
  'generateKey',
  'headerPrefix',
  'getRequestResponse',
  'handleRequest',
  'shouldSkip',
  'throwThrottlingException',
]);

/** The name of the constant that takes the place of a guard. */
export function optionsNameOf(guard: string): string {
  const base = guard.replace(/Guard$/, '');
  return `${base.charAt(0).toLowerCase()}${base.slice(1)}Options`;
}

/** Finds the classes of a file that extend the guard of the throttler. */
export function guardClassesIn(source: Source): GuardClass[] {
  const { ts } = source;
  return source.all(ts.isClassDeclaration).flatMap((node) => {
    const base = node.heritageClauses?.find(({ token }) => token === ts.SyntaxKind.ExtendsKeyword)?.types[0];
    if (node.name === undefined || !source.isThrottlerName(base?.expression, 'ThrottlerGuard')) return [];
    return [read(source, node, node.name.text)];
  });
}

function read(source: Source, node: ts.ClassDeclaration, name: string): GuardClass {
  const { ts } = source;
  const methods = new Map(
    node.members
      .filter((member) => isMethod(source, member))
      .map((method) => [method.name.getText(source.file), method] as const),
  );
  const own = node.members.filter(
    (member) =>
      ts.isMethodDeclaration(member) ||
      ts.isAccessor(member) ||
      ts.isClassStaticBlockDeclaration(member) ||
      (ts.isPropertyDeclaration(member) && OVERRIDES.has(member.name.getText(source.file))),
  );
  const converted = own.map((member) => convertMember(source, member));
  const inline = [...messagesIn(source, node), ...converted.flatMap((one) => one?.inline ?? [])];
  const members = converted.flatMap((one) => one?.member ?? []);
  const reasons = converted.flatMap((one) => one?.reason ?? []);
  const extendsOnly = own.length === 1 && methods.has('canActivate') && extendsWell(source, node, methods);
  const isExtended = (reasons.length > 0 || source.isTest) && extendsOnly;
  return {
    name,
    source,
    node,
    fate: isExtended ? 'extend' : reasons.length === 0 && !source.isTest ? 'merge' : 'hand',
    reason:
      reasons.join('; ') || 'a test of a guard: RateLimitGuard has no methods to override but canActivate',
    hasOptions: inline.length + members.length > 0,
    inline: withoutRepetition(inline),
    members,
    readsUser: tracksUser(source, methods.get('getTracker')),
    readsGraphql: methods.has('getRequestResponse'),
  };
}

/** The message of refusals, if the class sets it as a property. */
function messagesIn(source: Source, node: ts.ClassDeclaration): string[] {
  return node.members
    .filter(source.ts.isPropertyDeclaration)
    .flatMap(({ name, initializer }) =>
      name.getText(source.file) === 'errorMessage' && initializer !== undefined
        ? [`errorMessage: ${source.textOf(initializer)}`]
        : [],
    );
}

/** Keeps the last of several texts for one option, since a refusal replaces the message of the class. */
function withoutRepetition(options: readonly string[]): string[] {
  const byName = new Map(options.map((text) => [text.split(':')[0], text]));
  return [...byName.values()].filter((text) => text !== '');
}

/** Returns true for a class whose `canActivate` works with `RateLimitGuard` as its base. */
function extendsWell(
  source: Source,
  node: ts.ClassDeclaration,
  methods: ReadonlyMap<string, Method>,
): boolean {
  const { ts } = source;
  const hasConstructor = node.members.some(ts.isConstructorDeclaration);
  const method = methods.get('canActivate');
  return (
    !hasConstructor &&
    method !== undefined &&
    !/\bthis\.(options|storageService|reflector|throttlers|commonOptions|logger)\b|ThrottlerException/.test(
      source.textOf(method),
    )
  );
}
