import { Inject, type Type } from '@nestjs/common';
import { chain, type Awaitable } from '../../common/awaitable.js';
import { CONNECTION_LIMITS, CONNECTION_METADATA } from '../options/rate-limit.tokens.js';
import type { RouteHandler } from '../transports/transport.js';
import { isGateway } from '../transports/ws.transport.js';

type Handler = (this: Gateway, ...args: unknown[]) => unknown;

/** The property of a gateway that Nest injects the limiter of its connections into. */
const LIMITS = Symbol.for('nestjs-limits:connections-of-gateway');

interface Limits {
  isAdmitted(gateway: Type, handler: RouteHandler, args: unknown[]): Awaitable<boolean>;
}

interface Gateway {
  readonly handleDisconnect?: Handler;
}

/** The injected limiters. */
const limitsOf = new WeakMap<object, Limits>();

/** Connections that the `handleConnection` of a gateway never received, by connection. */
const unseen = new WeakMap<object, Set<Type>>();

/**
 * Wraps a gateway's `handleConnection` so that it checks the limits first, since Nest calls it without guards. Its
 * `handleDisconnect`, which a derived class may declare, does not run for a connection that `handleConnection` never received.
 */
export function limitConnections(gateway: object, descriptor: PropertyDescriptor): void {
  const handle = descriptor.value as Handler;
  if (Reflect.hasMetadata(CONNECTION_METADATA, handle)) return;
  Inject(CONNECTION_LIMITS)(gateway, LIMITS);
  Object.defineProperty(gateway, LIMITS, { set: injectLimits, configurable: true });

  const handleConnection: Handler = function (...args) {
    const limits = limitsOf.get(this);
    const target = this.constructor as Type;
    // Not limited: a gateway that Nest did not create, as in a test, and a controller's method of the same name.
    if (limits === undefined || !isGateway(target)) return handle.apply(this, args);
    const isAdmitted = limits.isAdmitted(target, handleConnection, args);
    if (isAdmitted === true) return handle.apply(this, args);
    const connection = args[0] as object;
    unseen.set(connection, new Set([...(unseen.get(connection) ?? []), target]));
    return chain(isAdmitted, (admitted) =>
      admitted && becomesSeen(connection, target) ? handle.apply(this, args) : undefined,
    );
  };
  copyMetadata(handle, handleConnection);
  Reflect.defineMetadata(CONNECTION_METADATA, true, handleConnection);
  descriptor.value = handleConnection;
}

/** Sets the limits of a gateway that Nest creates, before it reads the gateway's handlers. */
function injectLimits(this: Gateway, limits: Limits): void {
  const { handleDisconnect: handle } = this;
  if (typeof handle === 'function' && !limitsOf.has(this))
    Object.defineProperty(this, 'handleDisconnect', {
      value: (connection: object, ...others: unknown[]) =>
        becomesSeen(connection, this.constructor as Type)
          ? undefined
          : handle.call(this, connection, ...others),
      writable: true,
      configurable: true,
    });
  limitsOf.set(this, limits);
}

/** Returns true if a gateway had not received a connection before. */
function becomesSeen(connection: object, gateway: Type): boolean {
  return unseen.get(connection)?.delete(gateway) === true;
}

function copyMetadata(from: object, to: object): void {
  for (const key of Reflect.getOwnMetadataKeys(from) as string[])
    Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, from), to);
}
