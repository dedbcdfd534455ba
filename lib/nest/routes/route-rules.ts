import {
  Inject,
  Injectable,
  type ExecutionContext,
  type OnApplicationBootstrap,
  type OnModuleInit,
} from '@nestjs/common';
import type { Awaitable } from '../../common/awaitable.js';
import { PathPattern } from '../../policies/path-pattern.js';
import { resolvedPaths } from '../../policies/request-path.js';
import { RuleBook } from '../../policies/rules.js';
import { IdentityWarnings } from '../identities/identity-warnings.js';
import { GuardedCallBinding } from './guarded-call-binding.js';
import { MountedPaths } from './mounted-paths.js';
import { PolicyDirectory } from './policy-directory.js';
import type { CompiledRoute, RoutePolicy } from './route-policy.js';
import type { RateLimitKey } from '../options/rate-limit-key.js';
import type { RateLimitRule } from '../options/rate-limit.options.js';
import { RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { RoutePolicies } from './route-policies.js';
import { requestPaths } from './routed-path.js';
import { RuleSet, type PoliciesByPhase } from './rule-set.js';
import type { HttpRequest } from '../transports/http.transport.js';

/** Compiles the rules, and returns their policies for requests, whether or not they reach a route. */
@Injectable()
export class RouteRules implements OnModuleInit, OnApplicationBootstrap {
  #rules: RuleSet | undefined;
  readonly #exempt: PathPattern[] = [];
  #isCompiled = false;
  #isInitialized = false;
  #isStarted = false;

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(RoutePolicies) private readonly routes: RoutePolicies,
    @Inject(PolicyDirectory) private readonly directory: PolicyDirectory,
    @Inject(IdentityWarnings) private readonly identityWarnings: IdentityWarnings,
    @Inject(MountedPaths) private readonly mountedPaths: MountedPaths,
    @Inject(GuardedCallBinding) private readonly guardedCalls: GuardedCallBinding,
  ) {}

  /** Compiles the rules, so that an invalid one stops the start. */
  async onModuleInit(): Promise<void> {
    await this.routes.load();
    this.ensureCompiled();
    this.#isInitialized = true;
  }

  /** Checks the rules once everything is mounted. */
  onApplicationBootstrap(): void {
    this.#isStarted = true;
    this.mountedPaths.check(this.rules);
  }

  /** Compiles the rules of the options, unless that is done or others have replaced them before the application has started. */
  ensureCompiled(): void {
    if (!this.#isCompiled) this.compile(this.options.rules)();
  }

  /** Compiles all routes and rules, unless that is done, for an OpenAPI document before the application has started. */
  async ensureAllCompiled(): Promise<void> {
    await this.routes.load();
    this.routes.ensureCompiled();
    this.ensureCompiled();
  }

  /** Whether the application has bound its routes, which come before middleware that is bound later. */
  get isInitialized(): boolean {
    return this.#isInitialized;
  }

  get rules(): readonly RateLimitRule[] {
    this.ensureCompiled();
    return this.#rules?.book.rules ?? [];
  }

  /** Loads what the calendar windows of rules need. */
  load(rules: readonly RateLimitRule[]): Awaitable<void> {
    return this.routes.prepare([...this.options.limits, ...rules]);
  }

  /**
   * Returns a function that replaces all rules in one step. A rule keeps its counts if its id, window and strategy stay the same. A
   * request that earlier rules have counted keeps them to its end.
   *
   * @param rules after {@link load}
   * @throws ConfigurationError naming the invalid rule
   */
  compile(rules: readonly RateLimitRule[]): () => void {
    const book = new RuleBook<ExecutionContext, RateLimitKey, RoutePolicy>([...rules], (level) =>
      this.routes.compile([level], { route: '', controller: '' }),
    );
    return () => this.#replace(book);
  }

  #replace(book: RuleBook<ExecutionContext, RateLimitKey, RoutePolicy>): void {
    this.#rules = book.rules.length > 0 ? new RuleSet(this, book) : undefined;
    this.#isCompiled = true;
    this.directory.setRules(book.compiled.map((rule) => ({ ...rule, id: `rule ${rule.id}` })));
    if (this.#isStarted) this.mountedPaths.check(book.rules);
    this.guardedCalls.checkRules(book.compiled);
    for (const rule of book.compiled) {
      if (!rule.policies.some(({ source }) => source.isUnverified)) continue;
      const others = book.beside(rule).flatMap(({ policies }) => policies);
      this.identityWarnings.checkUnverified([...rule.policies, ...others, ...this.routes.ofModule()]);
    }
  }

  /**
   * Returns the policies of a request to a route: the route's, then those of rules.
   *
   * @param held the rules that have counted the request before, which stay in force for it when rules are replaced
   */
  policiesFor(route: CompiledRoute, request: HttpRequest, held?: object): PoliciesByPhase {
    const rules = held instanceof RuleSet && held.owner === this ? held : this.#rules;
    return rules === undefined || route.skips === 'all' ? route : rules.policiesFor(route, request);
  }

  /**
   * Returns the policies that count every request to a route: the route's, then those of rules that cover it. To be called after
   * {@link ensureAllCompiled}.
   *
   * @param template the path with the global prefix, as Express or Fastify have it
   */
  certainPoliciesFor(route: CompiledRoute, method: string, template: string): readonly RoutePolicy[] {
    return this.#rules?.certainPoliciesFor(route, method, template) ?? route.policies;
  }

  /** Exempts the requests of a path from rules before they are routed, as `@SkipRateLimit` exempts its routes. */
  exempt(path: string): void {
    this.#exempt.push(new PathPattern(path));
  }

  #isExempt(request: HttpRequest): boolean {
    if (this.#exempt.length === 0) return false;
    const paths = requestPaths(request);
    return [...paths, ...resolvedPaths(paths)].every((path) =>
      this.#exempt.some((pattern) => pattern.matches(path)),
    );
  }

  /** Returns the policies of the rules that apply to any reading of a request's URL, before it is routed. */
  forRequest(request: HttpRequest): Pick<PoliciesByPhase, 'policies' | 'ruleSet'> {
    const rules = this.#rules;
    return rules === undefined || this.#isExempt(request)
      ? NO_POLICIES
      : { policies: rules.forRequest(request), ruleSet: rules };
  }
}

const NO_POLICIES = { policies: [] };
