import { Inject, Injectable, type ExecutionContext } from '@nestjs/common';
import { all, attempt, chain, isPromise, type Awaitable } from '../../common/awaitable.js';
import { messageOf } from '../../common/describe.js';
import type { RequestOutcome } from '../../policies/policy.js';
import type { DecidingStorage } from '../../resilience/resilient-storage.js';
import type { BatchResult, Outcome } from '../../core/contract.js';
import { currentReceipt, settleOutcomes, type OutcomeChange } from '../../core/settlement.js';
import { DECIDING_STORAGE } from '../options/rate-limit.tokens.js';
import { logger } from '../options/warnings.js';
import type { RoutePolicy } from '../routes/route-policy.js';
import { policiesOf, type PolicyHit } from './policy-hit.js';
import { stateOf, type Reservation } from './request-state.js';
import type { Transport } from '../transports/transport.js';

/** Settles the reservations of requests that count by outcome: to 0, unless the request counts. */
@Injectable()
export class Reservations {
  constructor(@Inject(DECIDING_STORAGE) private readonly storage: DecidingStorage) {}

  /**
   * Settles reservations once the request is answered or aborted, if the transport reports that.
   */
  settleOnAnswer(reserved: readonly Reservation[], context: ExecutionContext, transport: Transport): void {
    transport.onAnswer?.(context, (outcome) => void this.#settle(reserved, context, transport, outcome));
  }

  /** Settles all reservations of a request whose outcome an interceptor has observed. */
  async settle(context: ExecutionContext, transport: Transport, outcome: RequestOutcome): Promise<void> {
    const { reservations = [] } = stateOf(transport.stateHolder(context)) ?? {};
    await this.#settle(reservations, context, transport, outcome);
  }

  async #settle(
    reserved: readonly Reservation[],
    context: ExecutionContext,
    transport: Transport,
    outcome: RequestOutcome,
  ): Promise<void> {
    // A request that another limit refused counts for none.
    const isRefused = stateOf(transport.stateHolder(context))?.decision?.allowed === false;
    const counted = all(
      reserved.map(({ policies }) => (isRefused ? false : this.#anyCounts(policies, context, outcome))),
    );
    const counts = isPromise(counted) ? await counted : counted; // stays synchronous while the functions are
    const changes = new Map<BatchResult, OutcomeChange[]>();
    reserved.forEach(({ result, outcomes }, index) => {
      const changed = counts[index] === true ? countedIn(result, outcomes) : outcomes.map(uncounted);
      changes.set(result, [...(changes.get(result) ?? []), ...changed]);
    });
    try {
      for (const [result, some] of changes) await settleOutcomes(this.storage, result, some, 'outcome');
    } catch (error) {
      logger.error(`Refunding hits that do not count failed: ${messageOf(error)}`);
    }
  }

  /**
   * Returns true if a request counts for a policy. A request that its client aborts counts, or each
   * try would be free.
   */
  #counts(
    { count, where }: RoutePolicy,
    context: ExecutionContext,
    outcome: RequestOutcome,
  ): Awaitable<boolean> {
    if (outcome.aborted === true) return true;
    const keep = (error: unknown): true => {
      logger.error(`${where}: the function "count" failed, so the request counts: ${messageOf(error)}`);
      return true;
    };
    const answer = attempt(() => chain(count?.(context, outcome), (counts) => counts !== false));
    return isPromise(answer) ? answer.catch(keep) : answer;
  }

  #anyCounts(
    policies: readonly RoutePolicy[],
    context: ExecutionContext,
    outcome: RequestOutcome,
  ): Awaitable<boolean> {
    return chain(all(policies.map((policy) => this.#counts(policy, context, outcome))), (counts) =>
      counts.includes(true),
    );
  }
}

/**
 * Returns the units reserved for policies that count by outcome. A count that several policies
 * share is included only if all of them count by outcome.
 */
export function reservationsOf(hits: readonly PolicyHit[], result: BatchResult): readonly Reservation[] {
  if (hits.every(({ policy }) => policy.count === undefined)) return [];
  const reserved: { readonly policies: readonly RoutePolicy[]; readonly outcomes: Outcome[] }[] = [];
  result.outcomes.forEach((outcome, index) => {
    const policies = policiesOf(hits[index] as PolicyHit);
    if (policies.some(({ count }) => count === undefined)) return;
    const known = reserved.find((one) => isSameList(one.policies, policies));
    if (known === undefined) reserved.push({ policies, outcomes: [outcome] });
    else known.outcomes.push(outcome);
  });
  return reserved.flatMap(({ policies, outcomes }) => {
    const taken = outcomes.filter((outcome) => outcome.taken);
    return taken.length === 0 ? [] : [{ policies, result, outcomes: taken }];
  });
}

/** Confirms hits that count, for limits with blocks. */
function countedIn(result: BatchResult, outcomes: readonly Outcome[]): OutcomeChange[] {
  return outcomes.flatMap((outcome) => {
    const receipt = currentReceipt(result, outcome);
    return receipt?.pending === true ? [{ outcome, actual: receipt.cost }] : [];
  });
}

function uncounted(outcome: Outcome): OutcomeChange {
  return { outcome, actual: 0 };
}

function isSameList<T>(one: readonly T[], other: readonly T[]): boolean {
  return one.length === other.length && one.every((item, index) => item === other[index]);
}
