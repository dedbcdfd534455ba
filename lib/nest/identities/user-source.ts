import { attempt, chain, type Awaitable } from '../../common/awaitable.js';
import { describeValue } from '../../common/describe.js';
import { ResolverError } from '../../common/errors.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { idOfUser, USER_IDS } from '../options/user-id.js';
import type { Warnings } from '../options/warnings.js';
import { graphqlTransport, isSubscription } from '../transports/graphql.transport.js';
import { sourceOf, textOf, type IdentifiedRequest, type IdentitySource } from './identity-source.js';

const HINT =
  'Resolve it by the module\'s option "user": ' +
  '(request: { user?: { account: string } }) => request.user?.account, for example.';

/**
 * Creates the source of the key `'user'`: the authenticated user, resolved by the option `user`.
 */
export function userSource(options: ResolvedOptions, warnings: Warnings): IdentitySource {
  const find = (request: IdentifiedRequest): Awaitable<string | undefined> => {
    const like = request.transport.requestOf(request.context);
    return like && chain(options.user(like), userId);
  };
  return sourceOf(
    'user',
    (request, observe) =>
      chain(find(request), (found) => {
        if (found === undefined && options.user === idOfUser) warnOfShape(request, warnings);
        if (found === undefined && observe === undefined) warnOfSubscription(request, warnings);
        observe?.({ option: 'user', found, repeat: () => attempt(() => find(request)) });
        return found;
      }),
    { mayReadUser: true },
  );
}

/**
 * @throws ResolverError for a value that would be one id for many users, such as most objects
 * converted to strings
 */
function userId(user: unknown): string | undefined {
  const found = textOf(user) ?? hexOf(user);
  if (found !== undefined || user === undefined || user === null) return found;
  throw new ResolverError(`The key "user" must be a string or a number; got ${describeValue(user)}. ${HINT}`);
}

/** Returns the text of a MongoDB ObjectId, which is the `_id` of documents. */
function hexOf(user: unknown): string | undefined {
  const { toHexString } = (user ?? {}) as { toHexString?: unknown };
  return typeof toHexString === 'function' ? textOf(toHexString.call(user)) : undefined;
}

function warnOfShape({ context, transport }: IdentifiedRequest, warnings: Warnings): void {
  const user = transport.requestOf(context)?.user;
  if (typeof user !== 'object' || user === null) return;
  warnings.once(
    'user shape',
    `The key "user" found none of ${USER_IDS.join(', ')} in request.user, so the address was counted instead. ${HINT}`,
  );
}

/** Warns of a subscription that has no user after authentication, since its guard may keep the user elsewhere. */
function warnOfSubscription({ context, transport }: IdentifiedRequest, warnings: Warnings): void {
  if (transport !== graphqlTransport || !isSubscription(context)) return;
  warnings.once(
    'subscription user',
    'The key "user" found no user of a subscription, so the address was counted instead. If a guard or "onConnect" knows the user, let ' +
      'it set "user" on the context of GraphQL, on its "req" or on "extra", see docs/graphql.md.',
  );
}
