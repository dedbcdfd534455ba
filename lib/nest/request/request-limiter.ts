import { ForbiddenException, Inject, Injectable, type ExecutionContext } from '@nestjs/common';
import { chain, type Awaitable } from '../../common/awaitable.js';
import { shownByName } from '../../common/inspection.js';
import { ClientAddresses } from '../identities/client-addresses.js';
import type { RoutePolicy } from '../routes/route-policy.js';
import { httpTransport } from '../transports/http.transport.js';
import type { RouteHandler, Transport } from '../transports/transport.js';
import { Transports } from '../transports/transports.js';
import { Refusals } from './refusals.js';
import { RequestDecider } from './request-decider.js';
import { RequestHits, type CountedRequest } from './request-hits.js';
import { RequestPolicies, type SelectedPolicies } from './request-policies.js';
import { keepState, stateFor } from './request-state.js';

/**
 * Counts a request against all its limits in one call of the storage, and refuses it if one of them
 * does. A request counts once per policy, however often it is checked. Synchronous in memory.
 */
@Injectable()
@shownByName
export class RequestLimiter {
  constructor(
    @Inject(Transports) private readonly transports: Transports,
    @Inject(RequestPolicies) private readonly policies: RequestPolicies,
    @Inject(ClientAddresses) private readonly addresses: ClientAddresses,
    @Inject(RequestHits) private readonly hits: RequestHits,
    @Inject(RequestDecider) private readonly decider: RequestDecider,
    @Inject(Refusals) private readonly refusals: Refusals,
  ) {}

  /**
   * Counts a request that has reached its handler.
   *
   * @param phase the latest phase whose policies count
   * @throws the transport's error if the request is refused
   */
  check(context: ExecutionContext, phase: RoutePolicy['phase']): Awaitable<boolean> {
    const transport = this.transports.get(context);
    if (transport === undefined) return true;
    const isAdmitted = transport.isAdmitted?.(context) ?? true;
    if (isAdmitted === true) return this.#checkHandler(context, transport, phase);
    return chain(isAdmitted, (admitted) => admitted && this.#checkHandler(context, transport, phase));
  }

  /**
   * Counts an HTTP request by the rules for its path, before it has reached a handler.
   *
   * @throws HttpException if the request is refused, or its client has closed the connection
   */
  checkPath(context: ExecutionContext): Awaitable<boolean> {
    const transport = this.transports.get(context);
    if (transport === undefined) return true;
    httpTransport.isAdmitted(context);
    return this.#admit(context, transport, undefined, this.policies.forPath(context));
  }

  /** Returns true if the option `deny` names the client of a request, or of a connection. */
  isDenied(context: ExecutionContext): Awaitable<boolean> {
    const transport = this.transports.get(context);
    if (transport === undefined) return false;
    return chain(
      this.addresses.resolve(context, transport),
      (address) => this.addresses.verdict(address, context, transport) === 'deny',
    );
  }

  #checkHandler(
    context: ExecutionContext,
    transport: Transport,
    phase: RoutePolicy['phase'],
  ): Awaitable<boolean> {
    return chain(this.policies.forHandler(context, transport, phase), (selected) =>
      this.#admit(context, transport, context.getHandler(), selected),
    );
  }

  /** Applies the options `allow` and `deny`, before anything is counted. */
  #admit(
    context: ExecutionContext,
    transport: Transport,
    handler: RouteHandler | undefined,
    selected: SelectedPolicies,
  ): Awaitable<boolean> {
    if (!this.addresses.hasLists) return this.#count(context, transport, handler, selected);
    return chain(this.addresses.resolve(context, transport), (address) => {
      switch (this.addresses.verdict(address, context, transport)) {
        case 'allow':
          return true;
        case 'deny': {
          const exception = new ForbiddenException();
          return this.refusals.refuse(transport, exception, exception.getResponse() as object, context);
        }
        case undefined:
          return this.#count(context, transport, handler, selected, address);
      }
    });
  }

  /** Counts a request by the policies that have not counted it yet. */
  #count(
    context: ExecutionContext,
    transport: Transport,
    handler: RouteHandler | undefined,
    { policies, ruleSet, route }: SelectedPolicies,
    address?: string,
  ): Awaitable<boolean> {
    if (policies.length === 0) return true;
    const before = stateFor(transport.stateHolder(context), handler);
    const open =
      before === undefined
        ? policies
        : policies.filter(({ fingerprint }) => !before.counted.includes(fingerprint));
    if (open.length === 0) return true;
    const request: CountedRequest = {
      context,
      transport,
      handler,
      policies: open,
      ruleSet,
      route,
      address,
      addressIdentity: undefined,
      plan: undefined,
      identities: undefined,
    };
    return chain(this.hits.find(request), (found) => {
      if (found.hits.length > 0) return this.decider.decide(request, found);
      if (found.failure !== undefined) throw found.failure.error;
      keepState(transport.stateHolder(context), {
        handler,
        counted: [...(before?.counted ?? []), ...open.map(({ fingerprint }) => fingerprint)],
        decision: before?.decision,
        reservations: before?.reservations ?? [],
        ruleSet,
      });
      return true;
    });
  }
}
