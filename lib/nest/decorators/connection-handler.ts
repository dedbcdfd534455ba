import { Inject, type Type } from '@nestjs/common';
import { chain, type Awaitable } from '../../common/awaitable.js';
import { CONNECTION_LIMITS, CONNECTION_METADATA } from '../options/rate-limit.tokens.js';
import type { RouteHandler } from '../transports/transport.js';
import { isGateway } from '../transports/ws.transport.js';

type Handler = (this: Gateway, ...args: unknown[]) => unknown;

/** Property of a gateway for the injected limiter of its connections. */
const LIMITS = Symbol.for('nestjs-limits:connections-of-gateway');

interface Gateway {
  readonly [LIMITS]?: {
    isAdmitted(gateway: Type, handler: RouteHandler, args: unknown[]): Awaitable<boolean>;
  };
}

/**
 * Wraps a gateway's `handleConnection` so that it checks the limits first, since Nest calls it without guards. Also wraps
 * `handleDisconnect`, which does not run for a connection that `handleConnection` never received.
 */
export function limitConnections(gateway: object, descriptor: PropertyDescriptor): void {
  const handle = descriptor.value as Handler;
  if (Reflect.hasMetadata(CONNECTION_METADATA, handle)) return;
  Inject(CONNECTION_LIMITS)(gateway, LIMITS);
  const unseen = new WeakSet();

  const handleConnection: Handler = function (...args) {
    const limits = this[LIMITS];
    const target = this.constructor as Type;
    // Not limited: a gateway that Nest did not create, as in a test, and a controller's method of the same name.
    if (limits === undefined || !isGateway(target)) return handle.apply(this, args);
    const isAdmitted = limits.isAdmitted(target, handleConnection, args);
    if (isAdmitted === true) return handle.apply(this, args);
    const connection = args[0] as object;
    unseen.add(connection);
    return chain(isAdmitted, (admitted) =>
      admitted && unseen.delete(connection) ? handle.apply(this, args) : undefined,
    );
  };
  copyMetadata(handle, handleConnection);
  Reflect.defineMetadata(CONNECTION_METADATA, true, handleConnection);
  descriptor.value = handleConnection;

  const { handleDisconnect: handleEnd } = gateway as { handleDisconnect?: Handler };
  if (handleEnd === undefined) return;
  const handleDisconnect: Handler = function (...args) {
    return unseen.delete(args[0] as object) ? undefined : handleEnd.apply(this, args);
  };
  copyMetadata(handleEnd, handleDisconnect);
  Object.defineProperty(gateway, 'handleDisconnect', {
    value: handleDisconnect,
    writable: true,
    configurable: true,
  });
}

function copyMetadata(from: object, to: object): void {
  for (const key of Reflect.getOwnMetadataKeys(from) as string[])
    Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, from), to);
}
