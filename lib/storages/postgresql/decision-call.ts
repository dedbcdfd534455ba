import type { BatchResult, Hit, Outcome, Settlement } from '../../core/contract.js';
import type { Limit } from '../../core/limit.js';
import { block, type BlockState } from '../../strategies/block.js';
import { boundsAround } from '../../strategies/calendars.js';
import { strategies } from '../../strategies/strategies.js';
import { peekBatch, type ReadableCells } from '../apply-batch.js';
import { NUMBERS_PER_LIMIT } from './sql/pieces.sql.js';
import { sqlStrategyNames } from './strategies/sql-strategies.js';

/** The step that a call performs on its batches. */
export type Step = 'consume' | 'peek' | 'settle' | 'block' | 'remove';

/** One batch in a gathered call. */
export type PlannedBatch = readonly (Hit | Settlement)[];

/**
 * The arguments that the functions take for every step, as text, which every driver sends
 * unchanged.
 */
export interface CallArguments {
  readonly keys: string;
  readonly ids: string;
  readonly limits: string;
  readonly hits: string;
}

/**
 * One hit in an answer: 1 if it was taken (of a settlement, its window), its state and its block.
 */
type AnsweredHit = readonly [
  verdict: number | null,
  state: readonly number[] | null,
  block?: readonly number[] | null,
];

/**
 * Encodes the batches of one step as arguments. The keys are sorted: every process must lock
 * rows in the same order.
 *
 * @param near epoch ms near the time of the decision, for the windows of calendars
 */
export function writeArguments(
  step: Step,
  batches: readonly PlannedBatch[],
  keyOf: (identity: string) => string,
  near: number,
): CallArguments {
  const keys = batches.map((batch) => batch.map(({ identity }) => keyOf(identity)));
  const sorted = inServerOrder([...new Set(keys.flat())]);
  const places = new Map(sorted.map((key, index) => [key, index + 1]));
  const limits = new Map<Limit, number>();
  const numbers: (number | 'NULL')[] = [];
  batches.forEach((batch, number) => {
    batch.forEach((hit, index) => {
      let limit = limits.get(hit.limit);
      if (limit === undefined) {
        limit = limits.size + 1;
        limits.set(hit.limit, limit);
      }
      numbers.push(number, places.get(keys[number]?.[index] ?? '') ?? 0, limit, hit.cost);
      if (step === 'settle') numbers.push(...settlementNumbers(hit));
    });
  });
  return {
    keys: `{${sorted.map(quoteElement).join(',')}}`,
    ids: `{${[...limits.keys()].map(({ digest }) => quoteElement(digest)).join(',')}}`,
    limits: `{${limitNumbers([...limits.keys()], isCounted(step) ? near : undefined).join(',')}}`,
    hits: `{${numbers.join(',')}}`,
  };
}

/**
 * Returns the time of an answer, in epoch ms, if it is outside of the calendar windows that the call
 * had. Then it has counted nothing.
 */
export function outsideOf(step: Step, answer: string): number | undefined {
  return isCounted(step) && !answer.includes(',') ? (JSON.parse(answer) as [number])[0] : undefined;
}

/** Parses the answer of a function into one result per batch. */
export function readAnswer(step: Step, batches: readonly PlannedBatch[], answer: string): BatchResult[] {
  const [now, ...hits] = JSON.parse(answer) as [number, ...AnsweredHit[]];
  let place = 0;
  return batches.map((batch) => {
    const outcomes = batch.map((hit) => outcomeOf(step, hit, hits[place++] ?? NOTHING, now));
    const allowed = outcomes.every((outcome) => outcome.allowed || outcome.limit.mode === 'shadow');
    return { allowed, now, outcomes };
  });
}

const NOTHING: AnsweredHit = [0, null];

/**
 * Sorts keys by their bytes, as the server does. The order of UTF-16 is the same unless there are
 * surrogates.
 */
function inServerOrder(keys: string[]): string[] {
  return keys.some((key) => /[\ud800-\udfff]/.test(key))
    ? keys.sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
    : keys.sort();
}

/** Returns true for the steps that open windows. Others read them at most. */
function isCounted(step: Step): boolean {
  return step === 'consume' || step === 'settle';
}

function limitNumbers(limits: readonly Limit[], near: number | undefined): number[] {
  const rest: number[] = [];
  const placeOf = (numbers: readonly number[]): number => {
    const place = limits.length * NUMBERS_PER_LIMIT + rest.length + 1;
    rest.push(...numbers);
    return place;
  };
  const numbers = limits.flatMap((limit) => {
    const { strategy, amount, period, burst, mode, refundable, block, blockAfter, calendar } = limit;
    return [
      sqlStrategyNames.indexOf(strategy),
      amount,
      period,
      burst,
      Number(mode === 'shadow'),
      Number(refundable),
      placeOf(block),
      block.length,
      Math.max(0, ...block),
      blockAfter,
      calendar === undefined || near === undefined ? 0 : placeOf(boundsAround(calendar, near)),
    ];
  });
  return [...numbers, ...rest];
}

function settlementNumbers(hit: Hit | Settlement): (number | 'NULL')[] {
  if (!('actual' in hit)) return [hit.cost, 0, 0, 'NULL', 0];
  if (hit.window === 'current') return [hit.actual, 0, 0, 'NULL', 0];
  return [hit.actual, 1, hit.at, hit.window ?? 'NULL', Number(hit.pending === true)];
}

function quoteElement(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/** The cell in the answer for one hit. */
class AnsweredCell implements ReadableCells {
  constructor(
    private readonly state: object | undefined,
    private readonly block: BlockState | undefined,
  ) {}

  get(): object | undefined {
    return this.state;
  }

  getBlock(): BlockState | undefined {
    return this.block;
  }
}

/**
 * Returns the outcome of a hit: the result of peeking at the state that it left, and whether it was
 * taken.
 */
function outcomeOf(step: Step, hit: Hit | Settlement, answered: AnsweredHit, now: number): Outcome {
  const [verdict, stateNumbers, blockNumbers] = answered;
  const { limit } = hit;
  const strategy = strategies[limit.strategy];
  const state = stateNumbers === null ? undefined : strategy.decode(stateNumbers.slice(1));
  const cell = new AnsweredCell(state, blockNumbers ? block.decode(blockNumbers.slice(1)) : undefined);
  const look = (cost: number): Outcome =>
    peekBatch(cell, [{ identity: hit.identity, limit, cost }], now).outcomes[0] as Outcome;
  if ('actual' in hit) {
    const settled = {
      ...look(0),
      cost: hit.actual,
      allowed: true,
      retryAfter: 0,
      window: verdict ?? undefined,
    };
    return hit.window === 'current' ? settled : { ...settled, taken: true, takenAt: hit.at };
  }
  if (step !== 'consume' || verdict !== 1) return look(hit.cost);
  const window = hit.cost > 0 && state !== undefined ? strategy.window(state) : undefined;
  return { ...look(0), cost: hit.cost, taken: true, window };
}
