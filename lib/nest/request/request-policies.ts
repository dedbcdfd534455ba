import { Inject, Injectable, type ExecutionContext } from '@nestjs/common';
import { chain, type Awaitable } from '../../common/awaitable.js';
import { RoutePolicies } from '../routes/route-policies.js';
import type { CompiledRoute, RoutePolicy } from '../routes/route-policy.js';
import { RouteRules } from '../routes/route-rules.js';
import type { PoliciesByPhase } from '../routes/rule-set.js';
import { UnboundGuardDetector } from '../routes/unbound-guard-detector.js';
import { httpTransport } from '../transports/http.transport.js';
import type { Transport } from '../transports/transport.js';
import { Transports } from '../transports/transports.js';
import { stateFor } from './request-state.js';

/** The policies that count a request, and the rules that were resolved for it. */
export interface SelectedPolicies extends Pick<PoliciesByPhase, 'policies' | 'ruleSet'> {
  /** The route that the request has reached, as in a {@link PolicyReference}. */
  readonly route?: string | undefined;
}

/**
 * Selects the policies that count a request: by its route, by the rules for its path, and by phase.
 */
@Injectable()
export class RequestPolicies {
  constructor(
    @Inject(RoutePolicies) private readonly routes: RoutePolicies,
    @Inject(RouteRules) private readonly rules: RouteRules,
    @Inject(UnboundGuardDetector) private readonly unboundGuards: UnboundGuardDetector,
    @Inject(Transports) private readonly transports: Transports,
  ) {}

  /**
   * Returns the policies of a request that has reached its handler.
   *
   * @param phase the latest phase whose policies count
   */
  forHandler(
    context: ExecutionContext,
    transport: Transport,
    phase: RoutePolicy['phase'],
  ): Awaitable<SelectedPolicies> {
    const isLimitedByModule = this.transports.isLimitedByModule(context, transport);
    const route = this.routes.find(context.getClass(), context.getHandler(), isLimitedByModule);
    return chain(route, (found) => this.#ofRoute(found, context, transport, phase));
  }

  #ofRoute(
    route: CompiledRoute,
    context: ExecutionContext,
    transport: Transport,
    phase: RoutePolicy['phase'],
  ): SelectedPolicies {
    const selected: PoliciesByPhase =
      transport === httpTransport ? this.#withRules(route, context, transport) : route;
    const { policies, beforeAuth, ruleSet } = selected;
    if (policies.length > beforeAuth.length) {
      if (phase === 'afterAuth') this.unboundGuards.see(route);
      else this.unboundGuards.watch(route, policies, context, transport);
    }
    return { policies: phase === 'afterAuth' ? policies : beforeAuth, ruleSet, route: route.name };
  }

  /**
   * Returns the policies of the rules for the path of an HTTP request that has not reached a
   * handler.
   */
  forPath(context: ExecutionContext): SelectedPolicies {
    const { policies, ruleSet } = this.rules.forRequest(httpTransport.requestOf(context));
    return { policies: policies.filter(({ phase }) => phase === 'beforeAuth'), ruleSet };
  }

  #withRules(route: CompiledRoute, context: ExecutionContext, transport: Transport): PoliciesByPhase {
    const held = stateFor(transport.stateHolder(context), context.getHandler())?.ruleSet;
    return this.rules.policiesFor(route, httpTransport.requestOf(context), held);
  }
}
