import type { Project, Throttler } from '../project.js';
import { bare, blockCode, inSeconds, limitCode, quantityOf, TEMPLATE, type Quantity } from '../quantities.js';
import { propertiesOf, valueOf } from '../objects.js';
import { nameProblem, settingsOf } from '../settings.js';
import type { Source } from '../source.js';
import type { ts } from '../typescript.js';
import { noteShortWindow } from './module-options.js';
import { replaceDecorator, targetOf, type Target } from './decorator-call.js';
import { skippedNames } from './skip-decorator.js';

/** Why limits are left as they are. */
interface Problem {
  readonly why: string;
}

const NOT_AN_OBJECT: Problem = {
  why: `the limits are not written as an object: write them as text, ${TEMPLATE}`,
};

/**
 * `@Throttle`: one `@RateLimit` for each throttler that the module has, with `scope: 'route'` on classes. Names that the module lacks,
 * and names that are skipped, have no effect in the throttler: they go, with a note.
 */
export function migrateThrottle(source: Source, project: Project): void {
  const { ts } = source;
  const known = project.throttlersFor(source);
  for (const call of source.all(ts.isCallExpression)) {
    if (!source.isThrottlerName(call.expression, 'Throttle') || source.isLeft(call)) continue;
    const target = targetOf(source, call);
    const limits = limitsOf(source, project, call, target, known);
    if ('why' in limits) source.todo(call, limits.why);
    else {
      const name = limits.length > 0 ? source.add('nestjs-limits', 'RateLimit') : '';
      const isReplaced = replaceDecorator(
        source,
        call,
        target,
        limits.map((code) => `${name}(${code})`),
      );
      if (!isReplaced) source.todo(call, 'several limits in one expression: list them in applyDecorators');
    }
  }
}

/** Returns the arguments of each `@RateLimit`, or why there are none. */
function limitsOf(
  source: Source,
  project: Project,
  call: ts.CallExpression,
  target: Target,
  known: ReadonlyMap<string, Throttler> | undefined,
): string[] | Problem {
  const { ts } = source;
  const [first, second] = call.arguments;
  if (first === undefined || second !== undefined || quantityOf(source, first).kind === 'number')
    return positional(source, project, call, target);
  const given = bare(source, first);
  const object = project.constants.objectAt(source, given);
  const named = object && propertiesOf(object.source, object.node);
  if (object === undefined || named === undefined) return NOT_AN_OBJECT;
  const isConstant = !ts.isObjectLiteralExpression(given);
  const skipped = skippedNames(source, target);
  const codes: string[] = [];
  for (const [name, property] of named) {
    if (known !== undefined && !known.has(name)) {
      source.note(call, `the module has no throttler "${name}", so its limit had no effect: it was removed`);
      continue;
    }
    if (skipped.has(name)) {
      source.note(call, `@SkipThrottle skips "${name}" here, so its limit had no effect: it was removed`);
      continue;
    }
    const value = valueOf(object.source, property);
    const settings = isConstant
      ? constantSettings(project, `${source.textOf(given)}.${name}`, object.source, value)
      : value && settingsOf(source, project.constants, value);
    if (settings === undefined) return NOT_AN_OBJECT;
    const code = argumentsOf(source, project, name, settings, target, known?.get(name));
    if (settings.ttl !== undefined) noteShortWindow(source, call, settings.ttl);
    if (typeof code !== 'string') return code;
    codes.push(code);
  }
  return codes;
}

type GivenSettings = Pick<NonNullable<ReturnType<typeof settingsOf>>, 'limit' | 'ttl' | 'blockDuration'> & {
  readonly properties: ReadonlyMap<string, unknown>;
};

function constantSettings(
  project: Project,
  path: string,
  owner: Source,
  value: ts.Expression | undefined,
): GivenSettings | undefined {
  const settings = value && settingsOf(owner, project.constants, value);
  if (settings === undefined) return undefined;
  const at = (name: string): { kind: 'code'; text: string } | undefined =>
    settings.properties.has(name) ? { kind: 'code', text: `${path}.${name}` } : undefined;
  return {
    limit: at('limit'),
    ttl: at('ttl'),
    blockDuration: at('blockDuration'),
    properties: settings.properties,
  };
}

/** Returns the arguments of `@RateLimit`, or why there are none. */
function argumentsOf(
  source: Source,
  project: Project,
  name: string,
  settings: GivenSettings,
  target: Target,
  throttler: Throttler | undefined,
): string | Problem {
  const wrongName = nameProblem(name);
  if (wrongName !== undefined) return { why: wrongName };
  const other = [...settings.properties.keys()].find(
    (option) => !['limit', 'ttl', 'blockDuration'].includes(option),
  );
  if (other !== undefined) return { why: `the option "${other}" of @Throttle: see "key" and "scope"` };
  const [lost] = throttler?.inherited ?? [];
  if (lost !== undefined)
    return {
      why: `the throttler "${name}" has the option "${lost}", which its override inherits: repeat it as an option of @RateLimit`,
    };
  const limit = settings.limit ?? throttler?.limit;
  const ttl = settings.ttl ?? throttler?.ttl;
  if (limit?.kind === 'number' && limit.value === 0)
    return {
      why: 'a limit of 0 means "not set" in most versions of the throttler, and refuses every request here',
    };
  const inherits = settings.limit === undefined || settings.ttl === undefined;
  if (
    limit === undefined ||
    ttl === undefined ||
    (inherits && [limit, ttl].some(({ kind }) => kind === 'code'))
  )
    return { why: `half of the limit is inherited from the throttler "${name}": write both numbers` };
  const text = limitCode(source, limit, ttl);
  if (text === undefined || text.includes('=>'))
    return { why: 'a limit or a ttl that has no text: give a function that returns the limits as text' };
  const block = blockCode(source, settings.blockDuration ?? throttler?.blockDuration, ttl);
  if (settings.blockDuration === undefined && throttler?.blockDuration?.kind === 'code')
    return {
      why: `the blockDuration of the throttler "${name}" is inherited: write it as the option "block"`,
    };
  const options = [
    ...(name === 'default' ? [] : [`name: ${source.literal(name)}`]),
    ...(target.isMethod ? [] : [`scope: ${source.literal('route')}`]),
    ...(project.phase === undefined ? [] : [`phase: ${source.literal(project.phase)}`]),
    ...(block === undefined ? [] : [`block: ${block}`]),
  ];
  return options.length === 0 ? text : `${text}, { ${options.join(', ')} }`;
}

/** Versions before 5: `@Throttle(limit = 20, ttl = 60)`, with the ttl in seconds. */
function positional(
  source: Source,
  project: Project,
  call: ts.CallExpression,
  target: Target,
): string[] | Problem {
  source.note(call, 'the ttl was read as seconds, as in version 4 of the throttler and before');
  const [limit = { kind: 'number', value: 20 }, ttl = { kind: 'number', value: 60 }]: Quantity[] =
    call.arguments.map((argument) => quantityOf(source, argument));
  const settings = {
    limit,
    ttl: inSeconds(ttl),
    blockDuration: undefined,
    properties: new Map<string, unknown>(),
  };
  const code = argumentsOf(source, project, 'default', settings, target, undefined);
  return typeof code === 'string' ? [code] : code;
}
