import { Inject, Injectable, type ExecutionContext, type HttpException } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { HeaderField } from '../../http/header-fields.js';
import type { RequestOutcome } from '../../policies/policy.js';
import type { RequestLike, Transport } from './transport.js';

/** What Express's and Fastify's requests have in common; middleware on Fastify sees the `raw` one. */
export interface HttpRequest extends RequestLike {
  readonly method?: string;
  readonly url?: string;
  readonly originalUrl?: string;
  readonly raw?: object;
  /** Express: the route that was found. */
  readonly route?: { readonly path?: unknown };
  /** Fastify: the same. */
  readonly routeOptions?: { readonly url?: unknown };
}

interface HttpResponse {
  readonly raw?: HttpResponse;
  readonly statusCode: number;
  /** Not Fastify's, but the raw one that middleware gets. */
  setHeader?(name: string, value: string): unknown;
  once(event: 'finish', listener: () => void): unknown;
}

/** Requests to controllers, on Express and Fastify. */
@Injectable()
export class HttpTransport implements Transport {
  constructor(@Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost) {}

  stateHolder(context: ExecutionContext): object {
    return httpStateHolder(context);
  }

  requestOf(context: ExecutionContext): HttpRequest {
    return context.getArgByIndex<HttpRequest>(0); // switchToHttp makes four functions at each call
  }

  addressOf(context: ExecutionContext): string | undefined {
    const { ip } = this.requestOf(context);
    return typeof ip === 'string' ? ip : undefined;
  }

  setFields(context: ExecutionContext, fields: readonly HeaderField[]): void {
    const { httpAdapter } = this.adapterHost;
    const response = context.getArgByIndex<HttpResponse>(1);
    for (const [name, value] of fields) {
      if (response.setHeader === undefined) httpAdapter.setHeader(response, name, value);
      else response.setHeader(name, value);
    }
  }

  onAnswer(context: ExecutionContext, tell: (outcome: RequestOutcome) => void): void {
    const given = context.getArgByIndex<HttpResponse>(1);
    const response = given.raw ?? given;
    response.once('finish', () => {
      tell({ success: response.statusCode < 400, statusCode: response.statusCode });
    });
  }

  refusal(exception: HttpException): Error {
    return exception;
  }
}

/** Middleware sees the raw request, also on Fastify. */
export function httpStateHolder(context: ExecutionContext): object {
  const request = context.getArgByIndex<HttpRequest>(0);
  return request.raw ?? request;
}
