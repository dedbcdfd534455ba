import { ForbiddenException, Inject, Injectable, type WebSocketAdapter } from '@nestjs/common';
import { ApplicationConfig, HttpAdapterHost } from '@nestjs/core';
import { chain } from '../../common/awaitable.js';
import { CONNECTION_LIMITS, RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { ConnectionLimits } from './connection-limits.js';
import { middlewareOf } from './middleware-of.js';
import { RequestLimiter } from './request-limiter.js';

/**
 * Refuses clients of the option `deny` where no guard runs: requests that no handler of Nest answers,
 * such as a GraphQL introspection, and connections to gateways.
 */
@Injectable()
export class DeniedClients {
  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(RequestLimiter) private readonly limiter: RequestLimiter,
    @Inject(CONNECTION_LIMITS) private readonly connections: ConnectionLimits,
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
    @Inject(ApplicationConfig) application: ApplicationConfig,
  ) {
    if (this.#mayDeny) this.#watchAdapterOf(application);
  }

  /** True if there is a list, be it empty, or a shared one may come. */
  get #mayDeny(): boolean {
    return this.options.deny !== undefined || this.options.settings.shared;
  }

  /** Binds a middleware. To be called before the routes are bound. */
  bindMiddleware(): void {
    if (!this.#mayDeny) return;
    const check = middlewareOf(DeniedClients, (context) =>
      chain(this.limiter.isDenied(context), (isDenied) => {
        if (isDenied) throw new ForbiddenException();
        return true;
      }),
    );
    this.adapterHost.httpAdapter.use(check);
  }

  /** Watches the adapter of WebSockets, which an application gets only after its providers. */
  #watchAdapterOf(application: ApplicationConfig): void {
    const setIoAdapter = application.setIoAdapter.bind(application);
    application.setIoAdapter = (adapter: WebSocketAdapter): void => {
      this.#watchConnections(adapter);
      setIoAdapter(adapter);
    };
  }

  /** Keeps denied connections from all gateways. */
  #watchConnections(adapter: WebSocketAdapter): void {
    const bindClientConnect = adapter.bindClientConnect.bind(adapter);
    adapter.bindClientConnect = (server: unknown, handle: (...args: unknown[]) => unknown): void => {
      bindClientConnect(server, (...args: unknown[]) => {
        // While `clientIp` is pending, Nest binds the gateways, or messages of that time would be lost.
        if (this.connections.isAllowed(args) !== false) handle(...args);
      });
    };
  }
}
