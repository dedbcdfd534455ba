import {
  add,
  and,
  atMost,
  choose,
  divide,
  equal,
  filtered,
  less,
  mapped,
  max,
  merged,
  subtract,
  withValues,
  type MongoExpression,
} from './strategies/mongo-strategy.js';
import type { Block, Hit, Refund } from '../../core/contract.js';
import {
  blockField,
  hitExpressions,
  readFields,
  refundExpressions,
  stateField,
  type Fields,
} from './limit-expressions.js';
import { literal } from './literal.js';

/** A stage of an update pipeline: `$set`, or another operator, and what it works on. */
type Stage = Record<string, object>;

/** The server deletes expired documents once a minute, so that an `expireAt` is moved by no less. */
const LEAST_SLACK = 60_000;

/**
 * The server's reading of the clock. A command keeps the reading it began with, and may come to its turn after one that began
 * later: then the later reading, which the document remembers, holds for both. A reading that lies further back than any
 * command waits is that of a clock that went back.
 *
 * @param lateness ms after which the server gives up a command that waits
 */
export function serverClock(lateness: number): MongoExpression {
  return withValues(
    { clock: { $toDouble: '$$NOW' } },
    choose(
      [[and(less('$$clock', '$at'), atMost('$at', add('$$clock', literal(lateness)))), '$at']],
      '$$clock',
    ),
  );
}

/**
 * Decides a batch of one identity and takes it, all or none. The identity's document holds
 *
 * - `cells`: what each limit has counted, by the digest of its id, and with `!` its block; each with the epoch ms of its `end`
 * - `refused`: the limits that the newest hits did not fit
 * - `at`: the reading of the clock that changed a cell last, in epoch ms
 * - `expireAt`: when the server may delete it
 *
 * and between the stages `reading`, `look` and `next`.
 */
export function consumePipeline(batch: readonly Hit[], now: MongoExpression): Stage[] {
  const limits = batch.map(({ limit }) => ({ limit, expressions: hitExpressions(limit) }));
  const enforced = limits
    .filter(({ limit }) => limit.mode === 'enforce')
    .map(({ limit }) => stateField(limit));
  const misfits = limits.map(({ limit, expressions }) =>
    choose([[expressions.fits, []]], literal([stateField(limit)])),
  );
  const allowed = equal({ $setIntersection: ['$refused', literal(enforced)] }, []);
  return [
    { $set: { reading: now } },
    { $set: { look: allOf(limits.map(({ expressions }) => expressions.look)) } },
    { $set: { refused: { $concatArrays: misfits } } },
    {
      $set: {
        next: withValues(
          { allowed },
          living(merged('$cells', allOf(limits.map(({ expressions }) => expressions.next)))),
        ),
      },
    },
    expiry(),
  ];
}

/** Gives back one refund of one identity after the other. */
export function refundPipeline(refunds: readonly Refund[], now: MongoExpression): Stage[] {
  const stages = refunds
    .map(refundExpressions)
    .flatMap(({ look, next }): Stage[] => [
      { $set: { look } },
      { $set: { next: living(merged('$next', next)) } },
    ]);
  return [{ $set: { reading: now, next: '$cells' } }, ...stages, expiry()];
}

/** Sets and lifts blocks of one identity. */
export function blockPipeline(blocks: readonly Block[], now: MongoExpression): Stage[] {
  const fields = blocks.map(({ limit, duration }): Fields => {
    const until = add('$reading', literal(duration));
    const state = { until, level: 0, end: add(until, literal(Math.max(...limit.block))) };
    return { [blockField(limit)]: duration > 0 ? state : null };
  });
  return [{ $set: { reading: now } }, { $set: { next: living(merged('$cells', allOf(fields))) } }, expiry()];
}

/** What to read of a document to tell of a batch, which needs the same `$$cost` as the pipeline. */
export function readProjection(batch: readonly Hit[], now: MongoExpression): Fields {
  return { _id: 0, now, refused: 1, ...allOf(batch.map(({ limit }) => readFields(limit, now))) };
}

/** Values for the variables of {@link consumePipeline} and {@link readProjection}. */
export function variables(batch: readonly Hit[]): Fields {
  return { cost: allOf(batch.map(({ limit, cost }) => ({ [stateField(limit)]: literal(cost) }))) };
}

/** Those of the cells that have not ended. */
function living(cells: MongoExpression): MongoExpression {
  return { $arrayToObject: filtered({ $objectToArray: cells }, less('$reading', '$$this.v.end')) };
}

/** Puts the document together. One that has not changed, but for the clock, stays as it is and is not written. */
function expiry(): Stage {
  const ends = mapped({ $objectToArray: '$next' }, '$$this.v.end');
  const expireAt = withValues(
    { left: max(0, subtract(max(ends), '$reading')) },
    withValues(
      { needed: add('$$NOW', '$$left') }, // in real time, in which the server deletes, whatever clock is read here
      choose(
        [[atMost('$$needed', '$expireAt'), '$expireAt']],
        add('$$needed', max(LEAST_SLACK, divide('$$left', 4))),
      ),
    ),
  );
  return {
    $replaceWith: {
      _id: '$_id',
      cells: '$next',
      refused: '$refused',
      at: choose([[equal('$cells', '$next'), '$at']], '$reading'),
      expireAt,
    },
  };
}

function allOf(fields: readonly Fields[]): Fields {
  return Object.assign({}, ...fields) as Fields;
}
