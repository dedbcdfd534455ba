import type { Awaitable } from '../common/awaitable.js';
import { describeValue } from '../common/describe.js';
import { WaitTimeoutError } from '../common/errors.js';
import { monotonicNow } from '../common/time.js';
import {
  receiptsOf,
  refuses,
  withdrawn,
  type BatchResult,
  type Cell,
  type Hit,
  type Outcome,
} from '../core/contract.js';
import { bindingOf } from '../core/decision.js';
import { isSameLimit, type Limit, type LimitWait } from '../core/limit.js';
import { announceReturn, onReturn } from '../core/returned-units.js';
import { clockOf, type Storage } from '../core/storage.js';
import { waitBehind } from '../strategies/wait-behind.js';
import { Caller, Line, Place } from './waiting-line.js';

/** Options of a call that waits. */
export interface WaitOptions {
  /** Stops waiting when aborted, and rejects with its reason. Default: never. */
  signal?: AbortSignal | undefined;
  /** Longest wait in ms, from 0. Default: no maximum; 0 for `acquire`. */
  maxWait?: number | undefined;
  /** Most callers in this process that may wait for the same limit and identity; a whole number from 1. Default: no maximum. */
  maxQueue?: number | undefined;
}

/** A caller that may wait until a batch is allowed. */
export interface WaitingCall {
  readonly batch: readonly Hit[];
  /** The storage that decides. */
  readonly storage: Storage;
  /** Consumes the batch. */
  readonly consume: () => Awaitable<BatchResult>;
  /** Returns how long the caller waits for a limit; `undefined` if a refusal by that limit is final. */
  readonly waitOf: (limit: Limit) => LimitWait | undefined;
  /** Makes the caller leave its line. */
  readonly signal: AbortSignal | undefined;
  /** The refusal of a first attempt. Default: the caller makes that attempt now, unless others wait for its limits. */
  readonly refusal?: BatchResult | undefined;
}

/** The result of a batch after waiting. */
export interface WaitedResult extends BatchResult {
  /** Why a caller stopped waiting before its batch was allowed. */
  readonly gaveUp?: WaitTimeoutError;
}

/** The hit that a caller waits for, and its bounds. */
interface Need {
  /** Index of the hit in whose line it waits. */
  readonly index: number;
  /** Ms until the hit is allowed; `undefined` if the time is not known. */
  readonly wait: number | undefined;
  readonly maxWait: number;
  readonly maxQueue: number;
}

/** Most callers that wait in this process. */
const MAX_WAITING = 10_000;

/** Callers that wait in this process. */
let waitingInProcess = 0;

const queues = new WeakMap<Storage, FairQueue>();

/** Returns the lines of a storage. */
export function queueOf(storage: Storage): FairQueue {
  const queue = queues.get(storage) ?? new FairQueue(storage);
  queues.set(storage, queue);
  return queue;
}

/**
 * Lines of callers that wait until a limit allows them, one per cell: first come, first served. Only the first of a line calls the
 * storage: when the refusing limit allows it, when this process returns units of the cell, and for slots every 100 to 250 ms, since
 * other processes release some too.
 */
export class FairQueue {
  /** By cell. Limits that share a cell and differ in amount have a line each. */
  readonly #lines = new Map<string, Line[]>();
  #isClosed = false;

  constructor(private readonly storage: Storage) {
    onReturn(storage, (cells) => this.#wake(cells));
  }

  /** True if no caller waits. */
  get isEmpty(): boolean {
    return this.#lines.size === 0;
  }

  /** True once it refuses all callers, since the application shuts down. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Returns the number of callers that wait, by the policy of the limit for which they do. */
  waiting(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const line of [...this.#lines.values()].flat()) {
      const { policy } = line.hit.limit;
      counts.set(policy, (counts.get(policy) ?? 0) + line.size);
    }
    return counts;
  }

  /** Returns true if callers wait for a limit of the batch that the given one would wait for too, so that it must not pass them. */
  hasAhead(batch: readonly Hit[], waitOf: WaitingCall['waitOf']): boolean {
    return this.#indexAhead(batch, waitOf) >= 0;
  }

  /**
   * Waits until a batch is allowed. A caller that would pass others joins their line. One that finds the line full, or whose wait is certain
   * to be too long, is refused at once.
   *
   * @returns the result that allowed the batch, or a refusal
   * @throws the reason of `signal` when it is aborted; then nothing is taken
   */
  async wait(call: WaitingCall): Promise<WaitedResult> {
    const { batch, waitOf, signal } = call;
    const caller = new Caller();
    const began = this.#now();
    let place: Place | undefined;
    let result = call.refusal;
    let need = result === undefined ? this.#needAhead(batch, waitOf) : needOf(result, waitOf);
    try {
      if (result === undefined) {
        const isFinal = need !== undefined && (await isRefusedForGood(call));
        need = isFinal ? undefined : this.#needAhead(batch, waitOf);
        if (need === undefined) {
          result = await attempt(call, this.storage);
          need = needOf(result, waitOf);
        }
      }
      for (;;) {
        signal?.throwIfAborted();
        if (need === undefined) return result as BatchResult; // allowed, or refused for good
        const hit = batch[need.index] as Hit;
        if (place !== undefined && place.line !== this.#lineOf(hit)) {
          place.leave();
          place = undefined;
        }
        const now = this.#now();
        const atLeast = place === undefined ? this.#leastWait(hit, need, now) : (need.wait ?? 0);
        const gaveUp = this.#reasonToGiveUp(hit, need, place, {
          now,
          atLeast,
          deadline: began + need.maxWait,
        });
        if (gaveUp !== undefined)
          return { ...(result ?? (await refusedBehind(call, need.index, atLeast))), gaveUp };
        place ??= this.#join(hit, caller);
        if (place.isFirst) place.line.expect(now + (need.wait ?? 0));
        const pause = place.isFirst ? (need.wait ?? pollInterval()) : Infinity;
        await caller.pause(this.storage, Math.min(pause, began + need.maxWait - now), signal);
        if (!place.isFirst || this.#isClosed) {
          result = undefined;
          need = { ...need, wait: undefined };
          continue;
        }
        place.line.ask(this.#now());
        caller.isWoken = false;
        result = await attempt(call, this.storage);
        need = needOf(result, waitOf);
      }
    } finally {
      place?.leave();
    }
  }

  /** Refuses all callers, and later ones that would have to wait. */
  close(): void {
    this.#isClosed = true;
    for (const line of [...this.#lines.values()].flat()) for (const { caller } of line.places) caller.wake();
  }

  #now(): number {
    return monotonicNow(clockOf(this.storage));
  }

  #wake(cells: readonly Cell[] | undefined): void {
    if (this.isEmpty) return;
    const lines =
      cells === undefined
        ? [...this.#lines.values()].flat()
        : cells.flatMap((cell) => this.#lines.get(nameOf(cell)) ?? []);
    for (const line of lines) line.first?.caller.wake();
  }

  #indexAhead(batch: readonly Hit[], waitOf: WaitingCall['waitOf']): number {
    if (this.isEmpty) return -1;
    return batch.findIndex(
      (hit) =>
        hit.cost > 0 &&
        hit.limit.mode === 'enforce' &&
        waitOf(hit.limit) !== undefined &&
        this.#lineOf(hit) !== undefined,
    );
  }

  #needAhead(batch: readonly Hit[], waitOf: WaitingCall['waitOf']): Need | undefined {
    const index = this.#indexAhead(batch, waitOf);
    const wait = index < 0 ? undefined : waitOf((batch[index] as Hit).limit);
    return wait && { index, wait: undefined, maxWait: wait.maxWait, maxQueue: wait.maxQueue };
  }

  #lineOf(hit: Hit): Line | undefined {
    return this.#lines.get(nameOf(hit))?.find((line) => isSameLimit(line.hit.limit, hit.limit));
  }

  /** Returns the fewest ms that a caller at the end of a line waits. */
  #leastWait(hit: Hit, { wait = 0 }: Need, now: number): number {
    const line = this.#lineOf(hit);
    if (line?.first === undefined) return wait;
    const { strategy, burst } = hit.limit;
    const units = line.units + hit.cost - (line.isAsking ? burst : 0);
    const behind = waitBehind(strategy, hit.limit, units, line.first.hit.cost);
    return Math.max(wait, line.opensAt + behind - now);
  }

  #reasonToGiveUp(
    hit: Hit,
    { wait, maxWait, maxQueue }: Need,
    place: Place | undefined,
    { now, atLeast, deadline }: { readonly now: number; readonly atLeast: number; readonly deadline: number },
  ): WaitTimeoutError | undefined {
    if (wait === Infinity) return new WaitTimeoutError(NEVER, Infinity);
    if (this.#isClosed)
      return new WaitTimeoutError('The limiter is shutting down, so no call waits any more.', wait);
    if (now + atLeast > deadline || (wait === undefined && now >= deadline))
      return tooLongError(maxWait, wait);
    if (place !== undefined) return undefined;
    const ahead = this.#lineOf(hit)?.size ?? 0;
    if (ahead >= maxQueue)
      return new WaitTimeoutError(
        `${ahead} calls wait for this rate limit already, and its maxQueue is ${maxQueue}.`,
        wait,
      );
    if (waitingInProcess >= MAX_WAITING)
      return new WaitTimeoutError(
        `${waitingInProcess} calls wait in this process already, which is the most.`,
        wait,
      );
    return undefined;
  }

  #join(hit: Hit, caller: Caller): Place {
    let line = this.#lineOf(hit);
    if (line === undefined) {
      line = new Line(hit);
      const name = nameOf(hit);
      this.#lines.set(name, [...(this.#lines.get(name) ?? []), line]);
    }
    const place = new Place(line, hit, caller, () => this.#leave(place));
    line.add(place);
    caller.isWoken = false; // for another line
    waitingInProcess++;
    return place;
  }

  #leave(place: Place): void {
    const { line } = place;
    const wasFirst = place.isFirst;
    line.remove(place);
    waitingInProcess--;
    if (line.first === undefined) {
      const name = nameOf(line.hit);
      const others = (this.#lines.get(name) ?? []).filter((one) => one !== line);
      if (others.length > 0) this.#lines.set(name, others);
      else this.#lines.delete(name);
    } else if (wasFirst) {
      line.ask(this.#now());
      line.first.caller.wake();
    }
  }
}

/** Returns what a refused caller waits for; `undefined` if it was allowed, or if a limit refuses that it does not wait for. */
export function needOf({ allowed, outcomes }: BatchResult, waitOf: WaitingCall['waitOf']): Need | undefined {
  if (allowed) return undefined;
  const waits = outcomes.filter(refuses).map(({ limit }) => waitOf(limit));
  if (!waits.every((wait) => wait !== undefined)) return undefined;
  const binding = bindingOf(outcomes);
  const { maxQueue = Infinity } = waitOf(binding.limit) ?? {};
  const maxWait = Math.min(...waits.map((wait) => wait.maxWait));
  return { index: outcomes.indexOf(binding), wait: binding.retryAfter, maxWait, maxQueue };
}

/** Returns true if a limit refuses a caller for good, so that it must not join the line of another limit. */
async function isRefusedForGood({ batch, storage, waitOf }: WaitingCall): Promise<boolean> {
  const mayWait = ({ limit, cost }: Hit): boolean =>
    limit.mode === 'shadow' || (waitOf(limit) !== undefined && cost <= limit.burst);
  if (batch.every(mayWait)) return false;
  try {
    const state = await storage.peek(batch);
    const need = needOf(state, waitOf);
    return !state.allowed && (need === undefined || need.wait === Infinity);
  } catch {
    return false; // if the store still fails when its turn comes, the caller learns of it then
  }
}

/** Consumes the batch of a caller. Refunds it if the caller has left by then. */
async function attempt(
  { batch, storage, consume, signal }: WaitingCall,
  owner: Storage,
): Promise<BatchResult> {
  signal?.throwIfAborted();
  const result = await consume();
  if (signal?.aborted !== true) return result;
  const receipts = receiptsOf(result);
  if (receipts.length > 0) {
    // Stays counted if the store fails, like any hit whose answer was lost.
    await Promise.resolve(storage.settle(withdrawn(receipts))).catch(() => undefined);
    announceReturn(owner, batch);
  }
  throw signal.reason;
}

/** Returns the refusal of a caller that did not get its turn: the present state, and the wait of its line. */
async function refusedBehind(
  { storage, batch }: WaitingCall,
  index: number,
  atLeast: number,
): Promise<BatchResult> {
  const state = await storage.peek(batch);
  const outcomes = state.outcomes.map((outcome, at) =>
    at === index ? refusedInLine(outcome, atLeast) : outcome,
  );
  return { ...state, allowed: false, outcomes };
}

function refusedInLine(outcome: Outcome, atLeast: number): Outcome {
  const { limit, retryAfter = 0, remaining, cost } = outcome;
  const wait = Math.max(1, retryAfter, Math.ceil(atLeast));
  return {
    ...outcome,
    allowed: false,
    remaining: Math.min(remaining, cost - 1), // those ahead take the others
    retryAfter: limit.strategy === 'concurrency' ? undefined : wait,
  };
}

const NEVER =
  'The cost is more than the limit ever allows, so that no wait would help. Take a smaller cost or a larger burst.';

function tooLongError(maxWait: number, wait: number | undefined): WaitTimeoutError {
  const rest = wait === undefined ? ', behind others who wait' : `: another ${wait} ms`;
  return new WaitTimeoutError(
    `A rate limit would have kept this waiting for longer than its maxWait of ${maxWait} ms${rest}.`,
    wait,
  );
}

/** Returns 100 to 250 ms, at random: the time between attempts while it is not known when the next one succeeds. */
function pollInterval(): number {
  return 100 + 150 * Math.random();
}

function nameOf({ identity, limit }: Cell): string {
  return `${identity} ${limit.id}`;
}

/** Throws for a wait that is out of range. */
export function assertWait({ maxWait, maxQueue }: LimitWait): void {
  if (typeof maxWait !== 'number' || !(maxWait >= 0))
    throw new RangeError(
      `The maxWait of a hit must be a number of ms from 0; got ${describeValue(maxWait)}.`,
    );
  if (maxQueue !== Infinity && (!Number.isSafeInteger(maxQueue) || maxQueue < 1))
    throw new RangeError(
      `The maxQueue of a hit must be a whole number from 1; got ${describeValue(maxQueue)}.`,
    );
}
