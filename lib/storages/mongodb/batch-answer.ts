import type { BlockState } from '../../strategies/block.js';
import { strategies } from '../../strategies/strategies.js';
import { peekBatch, type ReadableCells } from '../apply-batch.js';
import type { BatchResult, Hit } from '../../core/contract.js';
import type { Limit } from '../../core/limit.js';
import { blockField, stateField } from './limit-expressions.js';

/** What is read of an identity's document. */
export interface BatchAnswer {
  readonly now: number;
  readonly cells?: Readonly<Record<string, object>>;
  readonly refused?: readonly string[];
}

/** What a look at the document finds. */
export function looked(batch: readonly Hit[], answer: BatchAnswer): BatchResult {
  return peekBatch(new AnsweredCells(answer), batch, answer.now);
}

/** What a batch met, by the document that it left: of what was not taken, the same as a look finds. */
export function consumed(batch: readonly Hit[], answer: BatchAnswer): BatchResult {
  const { now, refused = [] } = answer;
  const fits = ({ limit }: Hit): boolean => !refused.includes(stateField(limit));
  const allowed = batch.every((hit) => hit.limit.mode === 'shadow' || fits(hit));
  const cells = new AnsweredCells(answer);
  const outcomes = peekBatch(cells, batch, now).outcomes.map((outcome) => {
    const { identity, limit, cost } = outcome;
    const taken = allowed && cost > 0 && fits(outcome) ? cells.get(identity, limit) : undefined;
    return taken === undefined
      ? outcome
      : { ...outcome, allowed: true, retryAfter: 0, window: strategies[limit.strategy].window(taken) };
  });
  return { allowed, now, outcomes };
}

/** The states as the pipeline stored them, which are the strategies' own. */
class AnsweredCells implements ReadableCells {
  readonly #cells: Readonly<Record<string, object>>;

  constructor({ cells = {} }: BatchAnswer) {
    this.#cells = cells;
  }

  get(_identity: string, limit: Limit): object | undefined {
    return this.#cells[stateField(limit)];
  }

  getBlock(_identity: string, limit: Limit): BlockState | undefined {
    return this.#cells[blockField(limit)] as BlockState | undefined;
  }
}
