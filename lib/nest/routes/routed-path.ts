import { splitPath, targetReadings, type PathSegments } from '../../policies/request-path.js';
import type { RouteTemplate } from '../../policies/route-template.js';
import type { HttpRequest } from '../transports/http.transport.js';

/** The fields that Express and Fastify set on a request when they route it. */
interface RoutedRequest extends HttpRequest {
  /** Express: where the application is mounted within another, as the client spelt it. */
  readonly baseUrl?: string;
  /** Express: the path below `baseUrl`. */
  readonly path?: unknown;
  readonly params?: unknown;
}

/** Returns the template that a request was routed by; of a mounted application, its part of the path. */
export function templateOf({ route, routeOptions }: HttpRequest): string | undefined {
  const template = route?.path ?? routeOptions?.url;
  return typeof template === 'string' ? template : undefined;
}

/** Whether the application of a request is mounted within another one, which has routed a part of the path. */
export function isMounted({ baseUrl }: RoutedRequest): boolean {
  return Boolean(baseUrl);
}

/**
 * Returns the path that was routed, as the template with its parameters filled in. Where that cannot be
 * told, returns every reading of the URL.
 */
export function routedPaths(request: RoutedRequest, template: RouteTemplate | undefined): PathSegments[] {
  const { params, baseUrl } = request;
  const filled =
    typeof params === 'object' && params !== null
      ? template?.fill(params as Readonly<Record<string, unknown>>)
      : undefined;
  if (filled === undefined) return requestPaths(request);
  return [baseUrl ? [...splitPath(baseUrl), ...filled] : filled];
}

/** Returns every path that a router may read in the URL of a request, for middleware that runs before it. */
export function requestPaths({ baseUrl, path, originalUrl, raw, url }: RoutedRequest): PathSegments[] {
  // On Fastify, `originalUrl` is the URL before `rewriteUrl`, but in middleware the one after it.
  const target = (raw === undefined ? (originalUrl ?? url) : url) ?? '/';
  if (baseUrl === undefined || typeof path !== 'string') return targetReadings(target);
  const routed = splitPath(baseUrl + path);
  return target.startsWith('/') ? [routed] : [routed, ...targetReadings(target)];
}
