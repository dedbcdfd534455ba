import { Inject, Injectable } from '@nestjs/common';
import { attempt, chain, isPromise, type Awaitable } from '../../common/awaitable.js';
import { RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { Warnings } from '../options/warnings.js';
import { onGuardsDone } from '../transports/guarded-calls.js';
import type { EarlyLookup, IdentifiedRequest } from './identity-source.js';

/** Requests without a user that are checked again after authentication. */
const MAX_CHECKS = 1000;
/** Maximum number of functions that are called again because the request has a user by then. */
const MAX_REPETITIONS = 10;

const CONSEQUENCES: Readonly<Record<EarlyLookup['option'], string>> = {
  user: 'the key "user" was looked up before the user was known, so the address was counted instead',
  key: 'the function "key" was called before the user was known, and returns another identity afterwards',
  plan: 'the function "plan" was called before the user was known, and returns another plan afterwards',
};

/**
 * Warns once per option about a look-up that ran too early. Before authentication it returned
 * nothing, or a default; repeated after authentication, when the request has a user, it returns
 * something else. Messages of microservices have no user, so any other result after the guards
 * causes a warning.
 */
@Injectable()
export class LateUserDetector {
  #checks = 0;
  #repetitions = 0;

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(Warnings) private readonly warnings: Warnings,
  ) {}

  /**
   * Repeats a look-up after authentication.
   *
   * @param where the declaration whose limit was counted
   */
  watch(request: IdentifiedRequest, lookup: EarlyLookup, where: string): void {
    if (this.#checks >= MAX_CHECKS || this.warnings.has(keyOf(lookup))) return;
    this.#checks++;
    quietly(() =>
      chain(this.#hasUser(request), (hasUser) => {
        if (hasUser !== true)
          onGuardsDone(request.context, request.transport, () =>
            quietly(() => this.#check(request, lookup, where)),
          );
      }),
    );
  }

  #check(request: IdentifiedRequest, lookup: EarlyLookup, where: string): Awaitable<void> {
    return chain(this.#hasUser(request), (hasUser) => {
      if (hasUser === false || this.#repetitions >= MAX_REPETITIONS) return;
      this.#repetitions++;
      return chain(
        attempt(() => lookup.repeat()),
        (found) => {
          if (isNothing(found) || found === lookup.found) return;
          this.warnings.once(
            keyOf(lookup),
            `${where}: ${CONSEQUENCES[lookup.option]}. Give the limit phase: 'afterAuth', and bind RateLimitGuard after your own guard.`,
          );
        },
      );
    });
  }

  /** Returns `undefined` for a transport whose requests have no user. */
  #hasUser({ context, transport }: IdentifiedRequest): Awaitable<boolean | undefined> {
    const request = transport.requestOf(context);
    if (request === undefined) return undefined;
    if (!isNothing(request.user)) return true;
    return chain(
      attempt(() => this.options.user(request)),
      (user) => !isNothing(user),
    );
  }
}

function keyOf({ option }: EarlyLookup): string {
  return `late ${option}`;
}

function isNothing(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}

/**
 * Ignores failures, since resolving the identity already reports those of the application's
 * functions.
 */
function quietly(call: () => Awaitable<unknown>): void {
  const done = attempt(call);
  if (isPromise(done)) done.catch(() => undefined);
}
