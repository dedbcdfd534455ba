import type { ExecutionContext, HttpException } from '@nestjs/common';
import type { Awaitable } from '../../common/awaitable.js';
import type { HeaderField } from '../../http/header-fields.js';
import type { RequestOutcome } from '../../policies/policy.js';

/** What built-in identities read of a request, whatever brought it. */
export interface RequestLike {
  /** The client's address, as the adapter tells it. */
  readonly ip?: unknown;
  /** By names in lower case. */
  readonly headers?: Readonly<Record<string, string | string[] | undefined>>;
  /** Whom a guard found the client to be. */
  readonly user?: unknown;
  /** What session middleware keeps for the client. */
  readonly session?: unknown;
}

/** What has to be known of the requests of one kind of context: `http`, `graphql`, `ws`, `rpc` or another. */
export interface Transport {
  /** An object that lives as long as one call of a handler and is the same for all its guards and interceptors: its state is kept there. */
  stateHolder(context: ExecutionContext): object;

  /** Something of a call by which decorators of parameters find its holder, where they are given a copy of the arguments. */
  callHint?(context: ExecutionContext): object | undefined;

  /** The request, if there is one. */
  requestOf(context: ExecutionContext): RequestLike | undefined;

  /** The client's address; `undefined` where there is none. */
  addressOf(context: ExecutionContext): string | undefined;

  /** The connection that brought a message, where several messages come by one. */
  connectionOf?(context: ExecutionContext): object;

  /** Whether that connection may send messages at all. */
  isAdmitted?(context: ExecutionContext): Awaitable<boolean>;

  /** Sends header fields, where there is a response to have them. */
  setFields?(context: ExecutionContext, fields: readonly HeaderField[]): void;

  /**
   * Calls back when the request has been answered; never, if the client went away first. Where it is missing, an interceptor
   * has to see to it.
   */
  onAnswer?(context: ExecutionContext, tell: (outcome: RequestOutcome) => void): void;

  /**
   * What to throw, so that the client gets to know of a refusal.
   *
   * @param body what the client is told
   */
  refusal(exception: HttpException, body: object, context: ExecutionContext): Awaitable<Error>;
}
