import { blockMongo } from './strategies/block.mongo.js';
import { fixedWindowElasticExpiryMongo } from './strategies/fixed-window-elastic-expiry.mongo.js';
import { fixedWindowMongo } from './strategies/fixed-window.mongo.js';
import {
  and,
  atMost,
  choose,
  less,
  not,
  or,
  type MongoExpression,
  type MongoStrategy,
  type MongoTerms,
} from './strategies/mongo-strategy.js';
import { movingWindowMongo } from './strategies/moving-window.mongo.js';
import { slidingWindowCounterMongo } from './strategies/sliding-window-counter.mongo.js';
import type { StrategyName } from '../../strategies/strategy.js';
import { tokenBucketMongo } from './strategies/token-bucket.mongo.js';
import type { Refund } from '../../core/contract.js';
import type { Limit } from '../../core/limit.js';
import { literal } from './literal.js';

const mongoStrategies: Readonly<Record<StrategyName, MongoStrategy>> = {
  'fixed-window': fixedWindowMongo,
  'fixed-window-elastic-expiry': fixedWindowElasticExpiryMongo,
  'moving-window': movingWindowMongo,
  'sliding-window-counter': slidingWindowCounterMongo,
  'token-bucket': tokenBucketMongo,
};

/** Expressions by the field whose value they are. */
export type Fields = Readonly<Record<string, MongoExpression>>;

/** What the stages of a pipeline hold for the hits of one limit. The costs are in `$$cost`, by the limit's digest. */
export interface HitExpressions {
  /** Look: the state as it stands now and, where the limit blocks, until when it does. */
  readonly look: Fields;
  /** Verdict: whether the hit fits. */
  readonly fits: MongoExpression;
  /** Take: what to store. `$refused` names the limits whose hits do not fit, `$$allowed` says whether the batch is allowed. */
  readonly next: Fields;
}

/** The field of a limit's state in a document. */
export function stateField({ digest }: Limit): string {
  return digest;
}

/** The field of a limit's block in a document. */
export function blockField({ digest }: Limit): string {
  return `${digest}!`;
}

const compiled = new WeakMap<Limit, HitExpressions>();

/** The expressions for hits of a limit; made once per limit. */
export function hitExpressions(limit: Limit): HitExpressions {
  let expressions = compiled.get(limit);
  if (expressions === undefined) {
    expressions = compile(limit);
    compiled.set(limit, expressions);
  }
  return expressions;
}

function compile(limit: Limit): HitExpressions {
  const [state, block] = [stateField(limit), blockField(limit)];
  const strategy = mongoStrategies[limit.strategy];
  const terms = termsOf(limit, `$cells.${state}`, '$reading', `$$cost.${state}`);
  const { cost, now } = terms;
  const remaining = strategy.remaining(terms);
  const fits = not({ $in: [literal(state), '$refused'] });
  const takes = less(0, cost);
  /** @param refuses whether a hit that takes nothing reaches the state, which it does not behind a block */
  const next = (refuses: MongoExpression): MongoExpression =>
    choose(
      [
        [and('$$allowed', fits, takes), strategy.take(terms)],
        [and(takes, refuses), strategy.refuse(terms)],
      ],
      terms.cell,
    );
  if (limit.block.length === 0) {
    return {
      look: { [state]: strategy.look(terms) },
      fits: atMost(cost, remaining),
      next: { [state]: next(true) },
    };
  }

  const blockTerms = {
    cell: `$cells.${block}`,
    now,
    durations: literal(limit.block),
    longest: literal(Math.max(...limit.block)),
  };
  const blocked = less(now, `$look.${block}`);
  const shortened = less(`$look.${block}`, `${blockTerms.cell}.until`);
  const blocks = and(not(fits), not(blocked), atMost(cost, terms.burst));
  return {
    look: { [state]: strategy.look(terms), [block]: blockMongo.blockedUntil(blockTerms) },
    fits: atMost(cost, choose([[blocked, 0]], remaining)),
    next: {
      [state]: next(or(not(blocked), shortened)),
      [block]: choose(
        [
          [blocks, blockMongo.commit(blockTerms)],
          [and(takes, blocked, shortened), blockMongo.shortened(blockTerms, `$look.${block}`)],
        ],
        blockTerms.cell,
      ),
    },
  };
}

/**
 * What to read of a limit's cells in a document.
 *
 * @param now epoch ms
 */
export function readFields(limit: Limit, now: MongoExpression): Fields {
  const [state, block] = [`cells.${stateField(limit)}`, `cells.${blockField(limit)}`];
  const terms = termsOf(limit, `$${state}`, now, `$$cost.${stateField(limit)}`);
  const { read } = mongoStrategies[limit.strategy];
  return { [state]: read?.(terms) ?? 1, ...(limit.block.length > 0 ? { [block]: 1 } : {}) };
}

/** Look and take of a refund: to what is in `$next`, so that one identity's refunds follow one another. */
export function refundExpressions(refund: Refund): { look: Fields; next: Fields } {
  const { limit, cost } = refund;
  const state = stateField(limit);
  const strategy = mongoStrategies[limit.strategy];
  const terms = termsOf(limit, `$next.${state}`, '$reading', literal(cost));
  const consumption =
    refund.window === 'current' ? undefined : { at: literal(refund.at), window: literal(refund.window) };
  return { look: { [state]: strategy.look(terms) }, next: { [state]: strategy.refund(terms, consumption) } };
}

function termsOf(limit: Limit, cell: string, now: MongoExpression, cost: MongoExpression): MongoTerms {
  return {
    cell,
    look: `$look.${stateField(limit)}`,
    now,
    amount: literal(limit.amount),
    period: literal(limit.period),
    burst: literal(limit.burst),
    cost,
  };
}
