import { Inject, Injectable, type ExecutionContext } from '@nestjs/common';
import { all, attempt, chain, isPromise, type Awaitable } from '../../common/awaitable.js';
import { messageOf } from '../../common/describe.js';
import type { RequestOutcome } from '../../policies/policy.js';
import type { DecidingStorage } from '../../resilience/resilient-storage.js';
import { assertCost, type BatchResult, type Outcome } from '../../core/contract.js';
import { currentReceipt, settleOutcomes, type OutcomeChange } from '../../core/settlement.js';
import { DECIDING_STORAGE } from '../options/rate-limit.tokens.js';
import { logger, Warnings } from '../options/warnings.js';
import type { RoutePolicy } from '../routes/route-policy.js';
import { policiesOf, type PolicyHit } from './policy-hit.js';
import { stateOf, type Reservation } from './request-state.js';
import type { Transport } from '../transports/transport.js';

/** Settles the reservations of requests whose actual cost depends on their outcome. */
@Injectable()
export class Reservations {
  constructor(
    @Inject(DECIDING_STORAGE) private readonly storage: DecidingStorage,
    @Inject(Warnings) private readonly warnings: Warnings,
  ) {}

  /**
   * Settles reservations once the request is answered or aborted, if the transport reports that.
   */
  settleOnAnswer(reserved: readonly Reservation[], context: ExecutionContext, transport: Transport): void {
    transport.onAnswer?.(context, (outcome) => void this.#settle(reserved, context, transport, outcome));
  }

  /**
   * Settles all reservations of a request that has ended.
   *
   * @param findOutcome called only if there are reservations
   */
  async settle(
    context: ExecutionContext,
    transport: Transport,
    findOutcome: () => Awaitable<RequestOutcome>,
  ): Promise<void> {
    const { reservations = [] } = stateOf(transport.stateHolder(context)) ?? {};
    if (reservations.length === 0) return;
    const found = findOutcome();
    const outcome = isPromise(found) ? await found : found; // synchronous if the outcome is known
    await this.#settle(reservations, context, transport, outcome);
  }

  async #settle(
    reserved: readonly Reservation[],
    context: ExecutionContext,
    transport: Transport,
    outcome: RequestOutcome,
  ): Promise<void> {
    // A request that another limit refused has not run.
    const isRefused = stateOf(transport.stateHolder(context))?.decision?.allowed === false;
    const resolved = all(
      reserved.map(({ policies }) =>
        isRefused ? [0] : all(policies.map((policy) => this.#actualCost(policy, context, outcome))),
      ),
    );
    const costs = isPromise(resolved) ? await resolved : resolved; // synchronous if the functions are
    const changes = new Map<BatchResult, OutcomeChange[]>();
    reserved.forEach(({ result, outcomes }, index) => {
      const changed = outcomes.flatMap((taken) => changeOf(result, taken, costs[index] ?? []));
      changes.set(result, [...(changes.get(result) ?? []), ...changed]);
    });
    try {
      for (const [result, some] of changes) await settleOutcomes(this.storage, result, some, 'outcome');
    } catch (error) {
      logger.error(`Settling a request by its outcome failed: ${messageOf(error)}`);
    }
  }

  /** Returns the actual cost of a request by one policy; `undefined` for its reservation. */
  #actualCost(
    { settlement, where }: RoutePolicy,
    context: ExecutionContext,
    outcome: RequestOutcome,
  ): Awaitable<number | undefined> {
    if (settlement === undefined) return undefined;
    const { option, actualCost } = settlement;
    const keep = (error: unknown): undefined => {
      this.warnings.once(
        `${option} ${where}`,
        `${where}: the function "${option}" failed, so the request counts its cost: ${messageOf(error)}`,
      );
    };
    const cost = attempt(() =>
      chain(actualCost(context, outcome), (units) => {
        if (units !== undefined) assertCost(units);
        return units;
      }),
    );
    return isPromise(cost) ? cost.catch(keep) : cost;
  }
}

/** Returns the hits of a batch that are settled by outcome. */
export function reservationsOf(hits: readonly PolicyHit[], result: BatchResult): readonly Reservation[] {
  if (hits.every(({ policy }) => policy.settlement === undefined)) return [];
  const reserved: { readonly policies: readonly RoutePolicy[]; readonly outcomes: Outcome[] }[] = [];
  result.outcomes.forEach((outcome, index) => {
    if (outcome.limit.strategy === 'concurrency') return; // released when the work is over, whatever its outcome
    const policies = policiesOf(hits[index] as PolicyHit);
    if (policies.every(({ settlement }) => settlement === undefined)) return;
    const known = reserved.find((one) => isSameList(one.policies, policies));
    if (known === undefined) reserved.push({ policies, outcomes: [outcome] });
    else known.outcomes.push(outcome);
  });
  return reserved.flatMap(({ policies, outcomes }) => {
    const taken = outcomes.filter((outcome) => outcome.taken);
    return taken.length === 0 ? [] : [{ policies, result, outcomes: taken }];
  });
}

/**
 * Returns the change to the highest actual cost of all policies that share a count. An unchanged cost is settled only to confirm it
 * to a limit that blocks.
 */
function changeOf(
  result: BatchResult,
  outcome: Outcome,
  costs: readonly (number | undefined)[],
): OutcomeChange[] {
  const receipt = currentReceipt(result, outcome);
  if (receipt === undefined) return [];
  const actual = Math.max(...costs.map((cost) => cost ?? receipt.cost));
  return actual === receipt.cost && receipt.pending !== true ? [] : [{ outcome, actual }];
}

function isSameList<T>(one: readonly T[], other: readonly T[]): boolean {
  return one.length === other.length && one.every((item, index) => item === other[index]);
}
