import { Inject, type Type } from '@nestjs/common';
import { chain, type Awaitable } from '../../common/awaitable.js';
import { CONNECTION_LIMITS, CONNECTION_METADATA } from '../options/rate-limit.tokens.js';
import type { RouteHandler } from '../transports/transport.js';

type Handler = (this: Gateway, ...args: unknown[]) => unknown;

/** Where a gateway finds what limits its connections. */
const LIMITS = Symbol.for('nestjs-limits:connections-of-gateway');

interface Gateway {
  readonly [LIMITS]?: {
    isAdmitted(gateway: Type, handler: RouteHandler, args: unknown[]): Awaitable<boolean>;
  };
}

const GATEWAY_METADATA = 'websockets:is_gateway';

/**
 * Makes a gateway's `handleConnection` ask for limits before it runs, since Nest calls it without guards, and keeps the end of a
 * connection that it did not get to see from `handleDisconnect`.
 */
export function limitConnections(gateway: object, descriptor: PropertyDescriptor): void {
  const handle = descriptor.value as Handler;
  if (Reflect.hasMetadata(CONNECTION_METADATA, handle)) return;
  Inject(CONNECTION_LIMITS)(gateway, LIMITS);
  const unseen = new WeakSet();

  const handleConnection: Handler = function (...args) {
    const limits = this[LIMITS];
    const target = this.constructor as Type;
    // One that Nest has not made, in a test for example, is nobody's to limit; nor is what a controller calls by that name.
    if (limits === undefined || !Reflect.hasMetadata(GATEWAY_METADATA, target))
      return handle.apply(this, args);
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
