import type { Project } from '../project.js';
import { bare, limitCode } from '../quantities.js';
import { propertiesOf, valueOf } from '../objects.js';
import type { Source } from '../source.js';
import type { ts } from '../typescript.js';
import { replaceDecorator, targetOf, type Target } from './decorator-call.js';

/** `@SkipThrottle`: by the names of the throttlers that the module has. A bare one skips the throttler `default` only. */
export function migrateSkipThrottle(source: Source, project: Project): void {
  const { ts } = source;
  const known = project.throttlersFor(source);
  for (const call of source.all(ts.isCallExpression)) {
    if (!source.isThrottlerName(call.expression, 'SkipThrottle') || source.isLeft(call)) continue;
    const target = targetOf(source, call);
    const skips = skipsOf(source, call);
    if (skips === undefined) {
      source.todo(call, 'the throttlers to skip are not written as an object');
      continue;
    }
    const skipped: string[] = [];
    const limited: string[] = [];
    let problem: string | undefined;
    for (const [name, isSkipped] of skips) {
      if (known !== undefined && !known.has(name))
        source.note(call, `the module has no throttler "${name}" to skip: it was removed`);
      else if (isSkipped) skipped.push(name);
      else if (target.isMethod && namesSkippedBy(source, target.class).has(name)) {
        const { limit, ttl } = known?.get(name) ?? {};
        const text =
          limit?.kind === 'number' && ttl?.kind === 'number' ? limitCode(source, limit, ttl) : undefined;
        const options = [
          ...(name === 'default' ? [] : [`name: ${source.literal(name)}`]),
          ...(project.phase === undefined ? [] : [`phase: ${source.literal(project.phase)}`]),
        ];
        if (hasThrottle(source, target)) continue;
        if (text === undefined)
          problem = `the class skips "${name}" and this handler does not: give the handler its limit with @RateLimit`;
        else limited.push(options.length === 0 ? text : `${text}, { ${options.join(', ')} }`);
      }
    }
    if (problem !== undefined) {
      source.todo(call, problem);
      continue;
    }
    const calls = [
      ...(skipped.length === 0
        ? []
        : [
            `${source.add('nestjs-limits', 'SkipRateLimit')}(${skipped.map((name) => source.literal(name)).join(', ')})`,
          ]),
      ...limited.map((code) => `${source.add('nestjs-limits', 'RateLimit')}(${code})`),
    ];
    if (!replaceDecorator(source, call, target, calls))
      source.todo(call, 'nothing is skipped here: remove the decorator');
  }
}

/** The names that are skipped where a decorator stands, by the handler or else by its class. */
export function skippedNames(source: Source, target: Target): Set<string> {
  const own = target.method && skipsOn(source, target.method);
  const ofClass = target.class && skipsOn(source, target.class);
  const names = new Set([...(own?.keys() ?? []), ...(ofClass?.keys() ?? [])]);
  return new Set([...names].filter((name) => own?.get(name) ?? ofClass?.get(name)));
}

function namesSkippedBy(source: Source, owner: ts.Node | undefined): Set<string> {
  const skips = owner === undefined ? [] : [...skipsOn(source, owner)];
  return new Set(skips.filter(([, isSkipped]) => isSkipped).map(([name]) => name));
}

function hasThrottle(source: Source, { method }: Target): boolean {
  return (
    method !== undefined &&
    decoratorsOf(source, method).some((call) => source.isThrottlerName(call.expression, 'Throttle'))
  );
}

function skipsOn(source: Source, owner: ts.Node): Map<string, boolean> {
  const calls = decoratorsOf(source, owner).filter((call) =>
    source.isThrottlerName(call.expression, 'SkipThrottle'),
  );
  return new Map(calls.flatMap((call) => [...(skipsOf(source, call) ?? [])]));
}

function decoratorsOf({ ts }: Source, owner: ts.Node): ts.CallExpression[] {
  const found: ts.CallExpression[] = [];
  ts.forEachChild(owner, (child) => {
    if (ts.isDecorator(child) && ts.isCallExpression(child.expression)) found.push(child.expression);
  });
  return found;
}

/** Reads the argument of `@SkipThrottle`. */
function skipsOf(source: Source, call: ts.CallExpression): Map<string, boolean> | undefined {
  const { ts } = source;
  const [argument] = call.arguments;
  if (argument === undefined) return new Map([['default', true]]);
  const node = bare(source, argument);
  if (node.kind === ts.SyntaxKind.TrueKeyword) return new Map([['default', true]]);
  if (node.kind === ts.SyntaxKind.FalseKeyword) return new Map([['default', false]]);
  const properties = ts.isObjectLiteralExpression(node) ? propertiesOf(source, node) : undefined;
  if (properties === undefined) return undefined;
  const skips = new Map<string, boolean>();
  for (const [name, property] of properties) {
    const kind = valueOf(source, property)?.kind;
    if (kind !== ts.SyntaxKind.TrueKeyword && kind !== ts.SyntaxKind.FalseKeyword) return undefined;
    skips.set(name, kind === ts.SyntaxKind.TrueKeyword);
  }
  return skips;
}
