import { RequestMethod, VERSION_NEUTRAL, type ExecutionContext, type Type } from '@nestjs/common';

/** Nest's own metadata of handlers: the keys are part of how its decorators work, but it exports no names for most. */
const PATH_METADATA = 'path';
const METHOD_METADATA = 'method';
const VERSION_METADATA = '__version__';
const HOST_METADATA = 'host';
const MESSAGE_METADATA = 'message';
const GATEWAY_OPTIONS_METADATA = 'websockets:gateway_options';
const PATTERN_METADATA = 'microservices:pattern';
const RESOLVER_TYPE_METADATA = 'graphql:resolver_type';
const RESOLVER_NAME_METADATA = 'graphql:resolver_name';
const GUARDED = [PATH_METADATA, MESSAGE_METADATA, PATTERN_METADATA, RESOLVER_TYPE_METADATA];

/** A method that answers a route, a message, a pattern or a field. */
export type RouteHandler = ReturnType<ExecutionContext['getHandler']>;

/** Whether a function is a handler that Nest calls guards for. */
export function isRouteHandler(handler: unknown): handler is RouteHandler {
  return typeof handler === 'function' && GUARDED.some((key) => Reflect.hasMetadata(key, handler));
}

/**
 * What names a handler in every process and release, whatever its class is called: an HTTP route by transport, method, path
 * template, version and host; a field, a message or a pattern by its name. The application's global prefix is not part of it.
 * Only a handler of an unknown kind is named after its class.
 *
 * @param modulePath path of the controller's module, as `RouterModule` gave it
 */
export function routeId(controller: Type, handler: RouteHandler, modulePath = ''): string {
  const read = (key: string, target: object = handler): unknown => Reflect.getMetadata(key, target);
  if (Reflect.hasMetadata(PATH_METADATA, handler)) return httpRouteId(controller, handler, modulePath);
  if (Reflect.hasMetadata(RESOLVER_TYPE_METADATA, handler)) {
    const name = (read(RESOLVER_NAME_METADATA) as string | undefined) ?? handler.name;
    return `graphql ${String(read(RESOLVER_TYPE_METADATA))}.${name}`;
  }
  if (Reflect.hasMetadata(PATTERN_METADATA, handler)) return `rpc ${JSON.stringify(read(PATTERN_METADATA))}`;
  if (Reflect.hasMetadata(MESSAGE_METADATA, handler)) {
    const { namespace, path } = (read(GATEWAY_OPTIONS_METADATA, controller) ?? {}) as {
      namespace?: unknown;
      path?: unknown;
    };
    return ['ws', namespace ?? path, read(MESSAGE_METADATA)].filter(Boolean).map(String).join(' ');
  }
  return `${controller.name}.${handler.name}`;
}

function httpRouteId(controller: Type, handler: RouteHandler, modulePath: string): string {
  const method =
    RequestMethod[(Reflect.getMetadata(METHOD_METADATA, handler) as RequestMethod | undefined) ?? 0] ?? 'ALL';
  const paths = pathsOf(controller).flatMap((prefix) =>
    pathsOf(handler).map((path) => join(modulePath, prefix, path)),
  );
  const version: unknown =
    Reflect.getMetadata(VERSION_METADATA, handler) ?? Reflect.getMetadata(VERSION_METADATA, controller);
  const host: unknown = Reflect.getMetadata(HOST_METADATA, controller);
  return [`http ${method} ${paths.join('|')}`, describe('v', version), describe('host ', host)]
    .filter(Boolean)
    .join(' ');
}

function pathsOf(target: object): string[] {
  const path: unknown = Reflect.getMetadata(PATH_METADATA, target);
  return (Array.isArray(path) ? path : [path ?? '']).map(String);
}

function join(...paths: string[]): string {
  return `/${paths
    .flatMap((path) => path.split('/'))
    .filter(Boolean)
    .join('/')}`;
}

function describe(prefix: string, value: unknown): string {
  if (value === undefined) return '';
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return prefix + values.map((one) => (one === VERSION_NEUTRAL ? 'neutral' : String(one))).join('|');
}
