import type { RequestLike } from './rate-limit.options.js';

/** Properties of `request.user` that hold its id, in the order in which they are read. */
export const USER_IDS = ['id', 'userId', 'sub', '_id'] as const;

/** The default of the option `user`: the first id of `request.user` that is present, or a user that is not an object. */
export function idOfUser({ user }: RequestLike): unknown {
  if (typeof user !== 'object' || user === null) return user;
  const ids = user as Readonly<Record<string, unknown>>;
  return USER_IDS.map((name) => ids[name]).find((id) => id !== undefined && id !== null);
}
