import { block, type BlockState } from '../strategies/block.js';
import { strategies } from '../strategies/strategies.js';
import { retryAfter } from '../strategies/strategy.js';
import type { BatchResult, Block, Hit, Outcome, Settlement } from '../core/contract.js';
import type { Limit } from '../core/limit.js';

/** The states that peeking at a batch reads. */
export interface ReadableCells {
  get(identity: string, limit: Limit): object | undefined;
  getBlock(identity: string, limit: Limit): BlockState | undefined;
}

/**
 * The states that a batch reads and writes. Implemented by storages that run the strategies in this
 * process.
 */
export interface Cells extends ReadableCells {
  /**
   * Stores a state that `get` did not return, or removes the cell. A state that `get` returned may
   * have been changed in place.
   */
  set(identity: string, limit: Limit, state: object | undefined): void;
  setBlock(identity: string, limit: Limit, state: BlockState | undefined): void;
}

/** Decides a batch and takes all of its hits, or none. */
export function consumeBatch(cells: Cells, batch: readonly Hit[], now: number): BatchResult {
  const only = batch[0];
  if (batch.length === 1 && only !== undefined) return consumeOne(cells, only, now);
  const states = new Array<object | undefined>(batch.length);
  const outcomes = new Array<Draft>(batch.length);
  let allowed = true;
  for (let index = 0; index < batch.length; index++) {
    const hit = batch[index] as Hit;
    const state = cells.get(hit.identity, hit.limit);
    const draft = look(cells, hit, state, now);
    if (!draft.allowed && hit.limit.mode === 'enforce') allowed = false;
    states[index] = state;
    outcomes[index] = draft;
  }
  for (let index = 0; index < batch.length; index++) {
    const draft = outcomes[index] as Draft;
    if (allowed && draft.allowed) take(cells, draft, states[index], now);
    else leave(cells, draft, states[index], now);
  }
  return { allowed, now, outcomes };
}

/** Consumes a batch of one hit, the most common case, without allocating lists. */
function consumeOne(cells: Cells, hit: Hit, now: number): BatchResult {
  const state = cells.get(hit.identity, hit.limit);
  const draft = look(cells, hit, state, now);
  if (draft.allowed) take(cells, draft, state, now);
  else leave(cells, draft, state, now);
  return { allowed: draft.allowed || hit.limit.mode === 'shadow', now, outcomes: [draft] };
}

/** Returns the result that a batch would have. Changes nothing. */
export function peekBatch(cells: ReadableCells, batch: readonly Hit[], now: number): BatchResult {
  const drafts = batch.map((hit) => {
    const state = cells.get(hit.identity, hit.limit);
    const draft = look(cells, hit, state, now);
    report(cells, draft, state, now);
    return draft;
  });
  return {
    allowed: drafts.every((draft) => draft.allowed || draft.limit.mode === 'shadow'),
    now,
    outcomes: drafts,
  };
}

/** Settles hits to their actual costs, one after another. Neither sets nor lifts blocks. */
export function settleBatch(cells: Cells, settlements: readonly Settlement[], now: number): BatchResult {
  return { allowed: true, now, outcomes: settlements.map((settlement) => settleOne(cells, settlement, now)) };
}

function settleOne(cells: Cells, settlement: Settlement, now: number): Outcome {
  const { identity, limit, cost, actual } = settlement;
  const state = cells.get(identity, limit);
  const of = settlement.window === 'current' ? 'current' : settlement;
  const settled = strategies[limit.strategy].settle(state, limit, { cost, actual, of }, now);
  if (settled.state !== state) cells.set(identity, limit, settled.state);
  if (of !== 'current' && of.pending === true) {
    const reserved = cells.getBlock(identity, limit);
    if (reserved !== undefined)
      cells.setBlock(identity, limit, block.settle(reserved, limit, cost, of.at, now));
  }
  const draft: Draft = {
    identity,
    limit,
    cost: actual,
    allowed: true,
    remaining: strategies[limit.strategy].remaining(settled.state, limit, now),
    resetTime: now,
    retryAfter: 0,
    taken: of !== 'current',
    window: settled.window,
  };
  if (of !== 'current') draft.takenAt = of.at; // a spread would take ten times as long
  report(cells, draft, settled.state, now);
  draft.retryAfter = 0;
  return draft;
}

/** Sets and lifts blocks. */
export function blockBatch(cells: Cells, blocks: readonly Block[], now: number): void {
  for (const { identity, limit, duration } of blocks)
    cells.setBlock(identity, limit, block.byHand(cells.getBlock(identity, limit), limit, duration, now));
}

/** A mutable outcome. */
type Draft = { -readonly [Key in keyof Outcome]: Outcome[Key] };

/** Decides one hit. The times are filled in once the whole batch is decided. */
function look(
  cells: ReadableCells,
  { identity, limit, cost }: Hit,
  state: object | undefined,
  now: number,
): Draft {
  const blocked = isBlocked(cells, identity, limit, now);
  const remaining = blocked ? 0 : strategies[limit.strategy].remaining(state, limit, now);
  return {
    identity,
    limit,
    cost,
    allowed: !blocked && cost <= remaining,
    remaining,
    resetTime: now,
    retryAfter: 0,
    taken: false,
    window: undefined,
  };
}

function take(cells: Cells, draft: Draft, state: object | undefined, now: number): void {
  draft.taken = true;
  if (draft.cost === 0) {
    report(cells, draft, state, now);
    return;
  }
  const { identity, limit, cost } = draft;
  const strategy = strategies[limit.strategy];
  const next = strategy.commit(state, limit, cost, now);
  if (next !== state) cells.set(identity, limit, next);
  draft.remaining -= cost;
  draft.resetTime = strategy.resetTime(next, limit, now);
  draft.window = strategy.window(next);
  if (limit.refundable && limit.block.length > 0)
    cells.setBlock(identity, limit, block.reserve(cells.getBlock(identity, limit), limit, cost, now));
}

/**
 * Applies the effects of a hit that was not taken: extends elastic windows and, if this hit was
 * refused, blocks its limit.
 */
function leave(cells: Cells, draft: Draft, state: object | undefined, now: number): void {
  if (draft.cost > 0) {
    const blocked = isBlocked(cells, draft.identity, draft.limit, now);
    const active = !blocked || shortenBlock(cells, draft, now);
    if (active && state !== undefined) strategies[draft.limit.strategy].refuse(state, draft.limit, now);
    if (!blocked && !draft.allowed) penalize(cells, draft, now);
  }
  report(cells, draft, state, now);
}

/** Shortens a block that lies in the future. Returns true if it did. */
function shortenBlock(cells: Cells, { identity, limit }: Draft, now: number): boolean {
  const state = cells.getBlock(identity, limit);
  if (state === undefined || !block.shorten(state, limit, now)) return false;
  cells.setBlock(identity, limit, state);
  return true;
}

/**
 * Blocks a limit that refuses. Not for a cost above the capacity, and not if the refusal depends on
 * reservations that may still be refunded.
 */
function penalize(cells: Cells, { identity, limit, cost, remaining }: Draft, now: number): void {
  if (limit.block.length === 0 || cost > limit.burst) return;
  const state = cells.getBlock(identity, limit);
  if (limit.refundable && cost <= remaining + block.pending(state, limit, now)) return;
  cells.setBlock(identity, limit, block.commit(state, limit, now));
}

/** Fills in the times of a hit that took nothing. */
function report(cells: ReadableCells, draft: Draft, state: object | undefined, now: number): void {
  const { identity, limit, cost } = draft;
  const strategy = strategies[limit.strategy];
  const remaining = strategy.remaining(state, limit, now);
  draft.resetTime = strategy.resetTime(state, limit, now);
  draft.retryAfter = retryAfter(strategy, state, limit, cost, remaining, now);
  if (!isBlocked(cells, identity, limit, now)) return;

  const until = blockedUntil(cells, identity, limit, now);
  draft.resetTime = remaining > 0 ? until : Math.max(until, draft.resetTime);
  draft.remaining = 0;
  if (draft.allowed) return;
  draft.retryAfter = Math.max(until - now, draft.retryAfter ?? 0);
  draft.blocked = true;
}

function isBlocked(cells: ReadableCells, identity: string, limit: Limit, now: number): boolean {
  return limit.block.length > 0 && blockedUntil(cells, identity, limit, now) > now;
}

function blockedUntil(cells: ReadableCells, identity: string, limit: Limit, now: number): number {
  return block.blockedUntil(cells.getBlock(identity, limit), limit, now);
}
