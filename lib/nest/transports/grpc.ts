import { HttpStatus, type ExecutionContext, type HttpException } from '@nestjs/common';
import { Observable } from 'rxjs';
import { isAddress } from '../../http/client-address.js';
import type { RequestOutcome } from '../../policies/policy.js';
import type { RequestLike } from '../options/rate-limit.options.js';
import { objectIn } from './calls.js';
import { onLastEvent } from './last-event.js';

/** The metadata of `@grpc/grpc-js`: the headers or trailers of a call. */
interface GrpcMetadata {
  set(key: string, value: string): void;
  getMap(): Readonly<Record<string, unknown>>;
}

/** A call of `@grpc/grpc-js`. */
export interface GrpcCall {
  readonly metadata: GrpcMetadata;
  /** True once the call is over: answered, cancelled by its client or its deadline, or its client has gone. */
  readonly cancelled: boolean;
  /** True once the server has sent all replies of a stream. */
  readonly writableFinished?: boolean;
  /** The client's address and port. */
  getPeer(): string;
  emit(event: 'error', error: object): boolean;
  once(event: 'error', listener: (error: unknown) => void): unknown;
}

type Callback = (error: object | null, ...reply: unknown[]) => void;

/** By call whose handler gets the stream itself: how it was answered; `undefined` while it is not. */
const answers = new WeakMap<GrpcCall, RequestOutcome | undefined>();

/** The status of a call, as gRPC defines it: https://grpc.io/docs/guides/status-codes. */
const STATUS_CODES: ReadonlyMap<number, number> = new Map([
  [HttpStatus.FORBIDDEN, 7], // PERMISSION_DENIED
  [HttpStatus.TOO_MANY_REQUESTS, 8], // RESOURCE_EXHAUSTED
  [HttpStatus.SERVICE_UNAVAILABLE, 14], // UNAVAILABLE
]);
const UNKNOWN = 2;

/** Returns the call of gRPC that a handler is called for: its third argument, or the first of `@GrpcStreamCall`. */
export function grpcCallOf(context: ExecutionContext): GrpcCall | undefined {
  const call: unknown = context.getArgByIndex(2);
  return isCall(call) ? call : streamCallOf(context);
}

/** Returns the address of a call's peer; `undefined` for a socket file. */
export function peerAddress(call: GrpcCall): string | undefined {
  const [, address = ''] = /^\[?(.*?)\]?(?::\d+)?$/.exec(call.getPeer()) ?? [];
  return isAddress(address) ? address : undefined;
}

/** Returns the metadata of a call as header fields. */
export function grpcRequest({ metadata }: GrpcCall): RequestLike {
  const texts = Object.entries(metadata.getMap()).filter(
    (field): field is [string, string] => typeof field[1] === 'string',
  );
  return { headers: Object.fromEntries(texts) };
}

/** Returns the status of a refused call: its code, its message, and `retry-after` in seconds among its metadata. */
export function grpcStatus(exception: HttpException, body: object, { metadata }: GrpcCall): object {
  const { message, retryAfter } = body as { message?: unknown; retryAfter?: unknown };
  const Metadata = metadata.constructor as new () => GrpcMetadata;
  const trailers = new Metadata();
  if (typeof retryAfter === 'number') trailers.set('retry-after', String(retryAfter));
  const code = STATUS_CODES.get(exception.getStatus()) ?? UNKNOWN;
  return { code, message: typeof message === 'string' ? message : exception.message, metadata: trailers };
}

/**
 * Returns a function that fails a call whose handler gets the stream itself; `undefined` for any other. Nest tells the client of
 * such a call nothing of an error, and leaves the error as an unhandled rejection.
 */
export function grpcFailure(context: ExecutionContext): ((error: Error) => void) | undefined {
  const call = streamCallOf(context);
  if (call === undefined) return undefined;
  const callback: unknown = context.getArgByIndex(1);
  return (error) => {
    const { getError } = error as { getError?: () => string | object };
    const given = getError?.call(error) ?? error;
    const status = typeof given === 'string' ? { code: UNKNOWN, message: given } : given;
    if (typeof callback === 'function') (callback as Callback)(status);
    else call.emit('error', status);
  };
}

/** Calls back when a call is over, at once if it is already. grpc-js says `cancelled` at the end of every call. */
export function onGrpcEnd(call: GrpcCall, tell: () => void): () => void {
  return onLastEvent(call, 'cancelled', call.cancelled, tell);
}

/**
 * Completes when a call is over whose handler gets the stream itself, and returns as soon as it listens to it; `undefined` for any other
 * call. From the first call on, observes how it is answered.
 */
export function grpcRest(context: ExecutionContext): Observable<never> | undefined {
  const call = streamCallOf(context);
  if (call === undefined) return undefined;
  if (!answers.has(call)) observeAnswer(call, context.getArgs());
  return new Observable((subscriber) => onGrpcEnd(call, () => subscriber.complete()));
}

/** Returns the outcome of a call that is over. A handler of any other kind of call has returned its result. */
export function grpcOutcome(context: ExecutionContext): RequestOutcome {
  const call = streamCallOf(context);
  if (call === undefined) return { success: true };
  return answers.get(call) ?? (call.writableFinished ? { success: true } : { success: false, aborted: true });
}

/** Listens to the error of a stream, and to the callback that answers a stream of requests, which is the handler's second argument. */
function observeAnswer(call: GrpcCall, args: unknown[]): void {
  const answer = (error: unknown): void =>
    void answers.set(call, answers.get(call) ?? (error ? { success: false, error } : { success: true }));
  answers.set(call, undefined);
  call.once('error', answer);
  const respond = args[1];
  if (typeof respond !== 'function') return;
  args[1] = ((error, ...reply) => {
    answer(error);
    (respond as Callback)(error, ...reply);
  }) satisfies Callback;
}

function streamCallOf(context: ExecutionContext): GrpcCall | undefined {
  const call: unknown = context.getArgByIndex(0);
  return isCall(call) ? call : undefined;
}

function isCall(value: unknown): value is GrpcCall {
  return typeof (objectIn(value) as Partial<GrpcCall> | undefined)?.getPeer === 'function';
}
