import { RequestMethod, VERSION_NEUTRAL, type ExecutionContext, type Type } from '@nestjs/common';

/** Nest's own metadata of routes: the keys are part of how its decorators work, but it exports no names for them. */
const PATH_METADATA = 'path';
const METHOD_METADATA = 'method';
const VERSION_METADATA = '__version__';
const HOST_METADATA = 'host';

/** A controller's method that answers a route. */
export type RouteHandler = ReturnType<ExecutionContext['getHandler']>;

/** Whether a function is a handler of an HTTP route. */
export function isRouteHandler(handler: unknown): handler is RouteHandler {
  return typeof handler === 'function' && Reflect.hasMetadata(PATH_METADATA, handler);
}

/**
 * What names an HTTP route in every process and release, whatever its class is called: transport, method, path template,
 * version and host. The application's global prefix is not part of it.
 *
 * @param modulePath path of the controller's module, as `RouterModule` gave it
 */
export function routeId(controller: Type, handler: RouteHandler, modulePath = ''): string {
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
