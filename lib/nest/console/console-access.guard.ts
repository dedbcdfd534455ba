import {
  ForbiddenException,
  Inject,
  Injectable,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import type { IncomingHttpHeaders } from 'node:http';
import type { ResolvedConsoleOptions } from './console.options.js';

/** Injection token of the console's options. */
export const CONSOLE_OPTIONS = Symbol('console options');

/** The common properties of the requests of Express and Fastify. */
interface ConsoleHttpRequest {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/** `127.0.0.0/8` and `::1`, also as an IPv6 server sees the former. */
const LOOPBACK = /^(::1|(::ffff:)?127\.\d+\.\d+\.\d+)$/;
const NAMES_OF_LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/i;
const FIELDS_OF_PROXIES = /^(forwarded|via|x-forwarded(-.*)?)$/;

/**
 * Refuses requests that other sites make the browser of an operator send, and without guards everything but direct requests
 * from this machine.
 */
@Injectable()
export class ConsoleAccessGuard implements CanActivate {
  constructor(@Inject(CONSOLE_OPTIONS) private readonly options: ResolvedConsoleOptions) {}

  /** @throws ForbiddenException with the reason */
  canActivate(context: ExecutionContext): true {
    const request = context.switchToHttp().getRequest<ConsoleHttpRequest>();
    if (this.options.open) assertLocal(request);
    assertSameSite(request);
    return true;
  }
}

function assertLocal({ headers, socket }: ConsoleHttpRequest): void {
  const proxied = Object.keys(headers).find((name) => FIELDS_OF_PROXIES.test(name));
  if (proxied !== undefined)
    throw new ForbiddenException(
      `The console has no guards, and the request has passed a proxy (${proxied}). Give RateLimitConsoleModule guards.`,
    );
  // Another name that resolves to this machine lets a page of another site read the answers (DNS rebinding).
  if (!LOOPBACK.test(socket.remoteAddress ?? '') || !NAMES_OF_LOOPBACK.test(hostOf(headers) ?? ''))
    throw new ForbiddenException(
      'The console has no guards, so it serves this machine only, as localhost. Give RateLimitConsoleModule guards.',
    );
}

/** Browsers send `Sec-Fetch-Site` over HTTPS and to localhost, and `Origin` with each POST. */
function assertSameSite({ method, headers }: ConsoleHttpRequest): void {
  const { origin, 'sec-fetch-site': site, 'sec-fetch-mode': mode } = headers;
  const isOwn =
    site === undefined ? origin !== undefined && isOriginOf(headers, origin) : site === 'same-origin';
  if (isOwn) return;
  const isRead = method === 'GET' || method === 'HEAD';
  // An address that is typed or followed, or a client that is no browser.
  if (isRead && (mode === 'navigate' || site === 'none' || (site === undefined && origin === undefined)))
    return;
  throw new ForbiddenException('The console takes requests of its own page only.');
}

function isOriginOf(headers: IncomingHttpHeaders, origin: string): boolean {
  return URL.canParse(origin) && new URL(origin).host === hostOf(headers);
}

/** HTTP/2 has no field `Host`. */
function hostOf(headers: IncomingHttpHeaders): string | undefined {
  return headers.host ?? (headers[':authority'] as string | undefined);
}
