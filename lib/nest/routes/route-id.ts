import { RequestMethod, VERSION_NEUTRAL, type ExecutionContext, type Type } from '@nestjs/common';
import { CONNECTION_METADATA } from '../options/rate-limit.tokens.js';

/** Nest's own metadata of handlers: the keys are part of how its decorators work, but it exports no names for most. */
const PATH_METADATA = 'path';
const METHOD_METADATA = 'method';
const VERSION_METADATA = '__version__';
const HOST_METADATA = 'host';
const MESSAGE_METADATA = 'message';
const GATEWAY_OPTIONS_METADATA = 'websockets:gateway_options';
const PORT_METADATA = 'port';
const PATTERN_METADATA = 'microservices:pattern';
const PATTERN_HANDLER_METADATA = 'microservices:handler_type';
const PATTERN_TRANSPORT_METADATA = 'microservices:transport';
const EVENT_HANDLER = 2;
const RESOLVER_TYPE_METADATA = 'graphql:resolver_type';
const RESOLVER_NAME_METADATA = 'graphql:resolver_name';
const RESOLVER_PROPERTY_METADATA = 'graphql:resolve_property';
const RESOLVER_REFERENCE_METADATA = 'graphql:resolve_reference';
const GUARDED = [
  PATH_METADATA,
  MESSAGE_METADATA,
  PATTERN_METADATA,
  RESOLVER_TYPE_METADATA,
  RESOLVER_PROPERTY_METADATA,
  RESOLVER_REFERENCE_METADATA,
  CONNECTION_METADATA,
];

/** A method that answers a route, a message, a pattern or a field. */
export type RouteHandler = ReturnType<ExecutionContext['getHandler']>;

/** Whether a function is a handler that Nest calls guards for. */
export function isRouteHandler(handler: unknown): handler is RouteHandler {
  return typeof handler === 'function' && GUARDED.some((key) => Reflect.hasMetadata(key, handler));
}

/** Whether a handler of a microservice answers nobody. */
export function isEventHandler(handler: RouteHandler): boolean {
  return Reflect.getMetadata(PATTERN_HANDLER_METADATA, handler) === EVENT_HANDLER;
}

/**
 * What names a handler in every process and release, whatever its class is called: an HTTP route by transport, method, path
 * template, version and host; a field, a message, a pattern or the connections of a gateway by their names. The application's
 * global prefix is not part of it. Only a handler of an unknown kind is named after its class.
 *
 * @param modulePath path of the controller's module, as `RouterModule` gave it
 */
export function routeId(controller: Type, handler: RouteHandler, modulePath = ''): string {
  const has = (key: string): boolean => Reflect.hasMetadata(key, handler);
  if (has(PATH_METADATA)) return httpRouteId(controller, handler, modulePath);
  if ([RESOLVER_TYPE_METADATA, RESOLVER_PROPERTY_METADATA, RESOLVER_REFERENCE_METADATA].some(has))
    return `graphql ${fieldOf(controller, handler)}`;
  if (has(PATTERN_METADATA)) return `rpc ${patternOf(handler)}`;
  if (has(MESSAGE_METADATA)) {
    const message: unknown = Reflect.getMetadata(MESSAGE_METADATA, handler);
    return `ws ${placeOf(controller)} ${typeof message === 'string' ? message : JSON.stringify(message)}`;
  }
  if (has(CONNECTION_METADATA)) return `ws-connection ${placeOf(controller)}`;
  return `${controller.name}.${handler.name}`;
}

function fieldOf(resolver: Type, handler: RouteHandler): string {
  const type: unknown =
    Reflect.getMetadata(RESOLVER_TYPE_METADATA, handler) ??
    Reflect.getMetadata(RESOLVER_TYPE_METADATA, resolver) ??
    resolver.name;
  const name: unknown = Reflect.hasMetadata(RESOLVER_REFERENCE_METADATA, handler)
    ? '__resolveReference'
    : (Reflect.getMetadata(RESOLVER_NAME_METADATA, handler) ?? handler.name);
  return `${String(type)}.${String(name)}`;
}

/** Kind, transport and patterns: one pattern may have a handler of messages and one of events, or one for each transport. */
function patternOf(handler: RouteHandler): string {
  const patterns = Reflect.getMetadata(PATTERN_METADATA, handler) as readonly unknown[];
  const transport = Reflect.getMetadata(PATTERN_TRANSPORT_METADATA, handler) as number | symbol | undefined;
  return [
    isEventHandler(handler) ? 'event' : 'message',
    patterns
      .map((pattern) => (pattern instanceof RegExp ? String(pattern) : JSON.stringify(pattern)))
      .join('|'),
    transport === undefined ? '' : `over ${String(transport)}`,
  ]
    .filter(Boolean)
    .join(' ');
}

/** Where a gateway listens: port, path and namespace, without spaces. */
function placeOf(gateway: Type): string {
  const port = Reflect.getMetadata(PORT_METADATA, gateway) as number | undefined;
  const { path, namespace } = (Reflect.getMetadata(GATEWAY_OPTIONS_METADATA, gateway) ?? {}) as {
    path?: unknown;
    namespace?: unknown;
  };
  const place = [path, namespace]
    .filter(Boolean)
    .map((part) => (part instanceof RegExp ? String(part) : join(String(part))))
    .join('#');
  return (port ? `:${port}` : '') + (place || '/').replaceAll(/\s/g, '%20');
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
