import {
  BadRequestException,
  Inject,
  Injectable,
  NotFoundException,
  ServiceUnavailableException,
} from '@nestjs/common';
import { messageOf, quote } from '../../common/describe.js';
import { isRateLimitError, isStorageError } from '../../common/errors.js';
import type { Outcome } from '../../core/contract.js';
import { RATE_LIMITER } from '../options/rate-limit.tokens.js';
import { logger } from '../options/warnings.js';
import type { PolicyReference } from '../routes/route-policy.js';
import type { ConsoleLimiter } from './console-limiter.js';
import { ConsolePolicies } from './console-policies.js';
import { describeLimit } from './describe-limit.js';
import type { IdentityRequest, IdentityState, LimitState, PolicyView } from './console-messages.js';

/** Longest text of a request, in characters. */
const MAX_TEXT_LENGTH = 1000;

const ACTIONS: readonly IdentityRequest['action'][] = ['look-up', 'clear', 'block', 'unblock'];

/** Looks up, clears, blocks and unblocks identities for operators, and logs what they change. */
@Injectable()
export class ConsoleActions {
  constructor(
    @Inject(RATE_LIMITER) private readonly limiter: ConsoleLimiter,
    @Inject(ConsolePolicies) private readonly policies: ConsolePolicies,
  ) {}

  /**
   * Performs an action; returns the state afterwards.
   *
   * @param body an {@link IdentityRequest}, not checked yet
   * @param operator the address of the client, for the log
   * @throws HttpException with the reason
   */
  async perform(body: unknown, operator: string): Promise<IdentityState> {
    const request = readRequest(body);
    const policy = this.policies.views().find(({ id }) => id === request.policy);
    if (policy === undefined) throw new NotFoundException('There is no such policy any more.');
    if (policy.routes.length === 0)
      throw new BadRequestException(
        `The limits "${policy.name}" are counted by hand, and changed only there: limiter.clear(limits, identity).`,
      );
    const { reference, identity } = referenceOf(policy, request);
    try {
      const { action, duration } = request;
      if (action !== 'look-up') {
        // The identity as it is stored: what the operator has entered may be a secret, such as an API key.
        const { limits } = await this.limiter.peek(reference, identity);
        await (action === 'block'
          ? this.limiter.block(reference, identity, duration)
          : this.limiter[action](reference, identity));
        logAction(request, reference.policy, limits[0]?.identity, operator);
      }
      const { allowed, limits } = await this.limiter.peek(reference, identity);
      return { identity: limits[0]?.identity ?? request.identity, allowed, limits: limits.map(stateOf) };
    } catch (error) {
      if (isStorageError(error)) throw new ServiceUnavailableException(messageOf(error), { cause: error });
      if (isRateLimitError(error) || error instanceof RangeError || error instanceof TypeError)
        throw new BadRequestException(messageOf(error), { cause: error });
      throw error;
    }
  }
}

function logAction(
  { action, duration }: IdentityRequest,
  policy: string,
  identity: string | undefined,
  operator: string,
): void {
  const what = `${action} of ${quote(identity ?? '')} in the policy ${quote(policy)}`;
  const length = action === 'block' && duration !== undefined ? ` for ${quote(duration)}` : '';
  logger.log(`Console: ${what}${length}, by ${operator}.`);
}

/** @throws BadRequestException for anything but an {@link IdentityRequest} */
function readRequest(body: unknown): IdentityRequest {
  if (typeof body !== 'object' || body === null)
    throw new BadRequestException('The body must be a JSON object.');
  const { action, policy, identity, ...optional } = body as Readonly<Record<string, unknown>>;
  if (!ACTIONS.includes(action as IdentityRequest['action']))
    throw new BadRequestException(`"action" must be one of ${ACTIONS.join(', ')}.`);
  if (!Number.isSafeInteger(policy))
    throw new BadRequestException('"policy" must be the number of a policy.');
  const texts: Record<string, string> = { identity: textOf('identity', identity) };
  for (const name of ['route', 'plan', 'limits', 'timeZone', 'anchor', 'duration'])
    if (optional[name] !== undefined) texts[name] = textOf(name, optional[name]);
  return { action, policy, ...texts } as IdentityRequest;
}

function textOf(name: string, value: unknown): string {
  if (typeof value === 'string' && value !== '' && value.length <= MAX_TEXT_LENGTH) return value;
  throw new BadRequestException(`"${name}" must be a text of 1 to ${MAX_TEXT_LENGTH} characters.`);
}

function referenceOf(
  { name, key, routes }: PolicyView,
  { identity, route, plan, limits, timeZone, anchor }: IdentityRequest,
): { reference: PolicyReference; identity: readonly string[] } {
  const isIdentity = isListed(key, identity);
  const isComposite = key.some((type) => type.includes('+'));
  return {
    reference: {
      policy: name,
      route: route ?? routes[0],
      plan,
      limits,
      timeZone,
      anchor,
      as: isIdentity ? 'identity' : undefined,
    },
    identity: isIdentity || !isComposite ? [identity] : identity.split('/'),
  };
}

/** Returns true for an identity as it is counted, such as `'ip:203.0.113.7'`: its kind, then `:` or `#:`. */
function isListed(key: readonly string[], identity: string): boolean {
  // The address replaces an identity, or a part of one, that a request lacks.
  const kinds = ['ip', ...key.flatMap((type) => type.replace(/\+.*/s, '').split('|'))];
  return kinds.some((kind) => identity.startsWith(`${kind}:`) || identity.startsWith(`${kind}#:`));
}

function stateOf({ limit, allowed, blocked, remaining, resetTime, retryAfter }: Outcome): LimitState {
  const { name, burst } = limit;
  return {
    name,
    text: describeLimit(limit),
    remaining,
    burst,
    allowed,
    blocked: blocked === true,
    ...(remaining < burst ? { resetTime } : {}),
    ...(retryAfter === undefined || retryAfter === Infinity ? {} : { retryAfter }),
  };
}
