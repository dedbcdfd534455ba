import {
  Inject,
  Injectable,
  type ExecutionContext,
  type OnApplicationBootstrap,
  type Type,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { quote } from '../../common/describe.js';
import type { HeaderField } from '../../http/header-fields.js';
import { RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { Warnings } from '../options/warnings.js';
import { foreignDelivery } from './amqp.js';
import { identifyCall, objectIn, hintedCall } from './calls.js';
import { graphqlTransport } from './graphql.transport.js';
import { HandlerContext } from './handler-context.js';
import { httpTransport } from './http.transport.js';
import { rpcTransport } from './rpc.transport.js';
import type { RouteHandler, Transport } from './transport.js';
import { wsTransport } from './ws.transport.js';

/** All known transports. */
const TRANSPORTS: readonly Transport[] = [httpTransport, graphqlTransport, wsTransport, rpcTransport];

/** Any other type of context. Its handlers are limited by key, or for all clients together. */
const unknownTransport: Transport = {
  type: 'unknown',
  isProxied: false,
  isHandler: () => true,
  routeId: (controller, handler) => `${controller.name}.${handler.name}`,
  stateHolder: (context) => identifyCall(context, firstObject(context)),
  callHint: firstObject,
  requestOf: () => undefined,
  addressOf: () => undefined,
  hasAddresses: () => false,
  deliveryOf(context) {
    const amqp = foreignDelivery(context);
    return amqp && { hasReply: false, amqp };
  },
  refusal: (exception) => exception,
};

const byType: ReadonlyMap<string, Transport> = new Map(
  TRANSPORTS.map((transport) => [transport.type, transport]),
);

/** The types of contexts that limits of the module count by default. */
const LIMITED_BY_MODULE: readonly string[] = [httpTransport, graphqlTransport, wsTransport].map(
  ({ type }) => type,
);

/**
 * Returns the types of the contexts that a function handles. It handles several if it has
 * decorators of several transports.
 */
export function typesOf(handler: RouteHandler): readonly string[] {
  return TRANSPORTS.filter((transport) => transport.isHandler(handler)).map(({ type }) => type);
}

/** Returns true if a function is a handler for which Nest calls guards. */
export function isRouteHandler(handler: unknown): handler is RouteHandler {
  return typeof handler === 'function' && TRANSPORTS.some((transport) => transport.isHandler(handler));
}

/**
 * Names a handler. The name is the same in every process and release. Only a handler of an unknown
 * kind is named after its class.
 *
 * @param modulePath path of the controller's module, as given to `RouterModule`
 */
export function routeId(controller: Type, handler: RouteHandler, modulePath = ''): string {
  const transport = TRANSPORTS.find((one) => one.isHandler(handler)) ?? unknownTransport;
  return transport.routeId(controller, handler, modulePath);
}

/** Returns the transport of a context, whether its requests are limited or not. */
export function transportOf(context: ExecutionContext): Transport {
  const transport = byType.get(context.getType());
  return transport === undefined || transport.isContext?.(context) === false ? unknownTransport : transport;
}

/** Returns the object that holds the state of a call, for a parameter decorator. */
export function stateHolderForParameter(context: ExecutionContext): object | undefined {
  const transport = transportOf(context);
  return transport.callHint === undefined
    ? transport.stateHolder(context)
    : hintedCall(context, transport.callHint(context));
}

function firstObject(context: ExecutionContext): object | undefined {
  return context.getArgs<unknown[]>().map(objectIn).find(Boolean);
}

/** The transports by type of context. */
@Injectable()
export class Transports implements OnApplicationBootstrap {
  readonly #limitedByModule: ReadonlySet<string>;

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
    @Inject(Warnings) private readonly warnings: Warnings,
  ) {
    this.#limitedByModule = new Set(options.transports ?? LIMITED_BY_MODULE);
  }

  /** Warns about an unknown type in the options, since it may be misspelt. */
  onApplicationBootstrap(): void {
    for (const type of this.options.transports ?? [])
      if (!byType.has(type))
        this.warnings.once(
          `transport ${type}`,
          `The option "transports" names ${quote(type)}, which is not one of ${[...byType.keys()].join(', ')}: it limits only contexts of that type.`,
        );
  }

  /** Returns the transport of a context; `undefined` if its requests are not limited. */
  get(context: ExecutionContext): Transport | undefined {
    const { transports: limited } = this.options;
    if (limited !== undefined && !limited.includes(context.getType())) return undefined;
    return transportOf(context);
  }

  /** Returns true if limits of the module count a request. A context that only calls itself `http` is of an unknown type. */
  isLimitedByModule(context: ExecutionContext, transport: Transport): boolean {
    const type = context.getType<string>();
    return (transport !== unknownTransport || !byType.has(type)) && this.areLimitedByModule(type);
  }

  /**
   * Returns true if limits of the module count requests of a type of context. Unless the option
   * `transports` lists them, messages of microservices and unknown types count only if they are
   * decorated, since a broker may lose or redeliver refused messages.
   */
  areLimitedByModule(type: string): boolean {
    return this.#limitedByModule.has(type);
  }

  /**
   * Returns true if header fields are lost that are set while the body is made. Fastify makes a reply of the raw response of
   * middleware, and knows only the fields that it had before.
   */
  dropsLateFields(context: ExecutionContext, transport: Transport): boolean {
    return (
      transport === httpTransport &&
      context instanceof HandlerContext &&
      this.adapterHost.httpAdapter.getType() === 'fastify'
    );
  }

  /** Sends header fields, if the transport has a response for them. */
  setFields(context: ExecutionContext, transport: Transport, fields: readonly HeaderField[]): void {
    if (transport === graphqlTransport && !this.options.headers.graphql) return;
    transport.setFields?.(context, fields, this.adapterHost.httpAdapter);
  }
}
