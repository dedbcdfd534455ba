import {
  MongoServerError,
  UUID,
  type Binary,
  type BulkWriteResult,
  type Document,
  type UpdateOneModel,
  type WriteError,
} from 'mongodb';
import type { Replacement } from '../cas/cas.storage.js';
import type { IdentityDocument } from './limits-collection.js';

/** Shortest slack of `expireAt`, in ms. The server deletes expired documents only once a minute. */
const MIN_SLACK_MS = 60_000;

/** The code of the error of a document that another process has created first. */
export const DUPLICATE_KEY = 11_000;

/** The text of a record without cells. */
const EMPTY_RECORD = '{}';

/**
 * Returns the update of one document. With `upsert`, a lost race is a duplicate key, and the server
 * reports which update caused it; of updates that match nothing it reports only the number. A
 * document that was deleted after it was read comes back empty.
 */
export function updateOf({ key, text, version, ttl }: Replacement<Binary>): UpdateOneModel<IdentityDocument> {
  const isNew = version === undefined;
  const literal = { $literal: text };
  const fields = {
    text: isNew ? literal : { $cond: ['$text', literal, EMPTY_RECORD] },
    version: new UUID().toBinary(),
    expireAt: expiryIn(ttl),
  };
  const filter = { _id: key, version: isNew ? { $exists: false } : version };
  return { filter, update: [{ $set: fields }], upsert: true };
}

/** Returns for each replacement whether it was stored, or its error. */
export function storedBy(
  { upsertedIds }: BulkWriteResult,
  errors: readonly WriteError[],
  replacements: readonly Replacement<Binary>[],
): (boolean | Error)[] {
  const errorAt = new Map(errors.map((error) => [error.index, error]));
  return replacements.map(({ version }, index) => {
    const { code, errmsg = 'the server refused the write' } = errorAt.get(index) ?? {};
    if (code === undefined) return version === undefined || upsertedIds[index] === undefined;
    return code === DUPLICATE_KEY ? false : new MongoServerError({ message: errmsg, code });
  });
}

/**
 * Returns the time at which the server may delete a document. Slack keeps most writes from moving
 * it and updating the index.
 */
function expiryIn(ttl: number): Document {
  const slack = Math.max(MIN_SLACK_MS, Math.ceil(ttl / 4));
  const [earliest, latest] = [ttl, ttl + slack].map((ms) => ({ $add: ['$$NOW', ms] }));
  return { $cond: [{ $gte: ['$expireAt', earliest] }, '$expireAt', latest] };
}
