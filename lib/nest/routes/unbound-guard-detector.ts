import { Inject, Injectable, type ExecutionContext } from '@nestjs/common';
import type { CompiledRoute, RoutePolicy } from './route-policy.js';
import { Warnings } from '../options/warnings.js';
import { onGuardsDone } from '../transports/guarded-calls.js';
import type { Transport } from '../transports/transport.js';

/** Warns once per route that has limits of the phase `'afterAuth'` but no `RateLimitGuard` to count them. */
@Injectable()
export class UnboundGuardDetector {
  /** Routes with the guard, and routes that a warning was logged for. */
  readonly #known = new WeakSet<CompiledRoute>();

  constructor(@Inject(Warnings) private readonly warnings: Warnings) {}

  /** Records that the guard was called on a route. */
  see(route: CompiledRoute): void {
    this.#known.add(route);
  }

  /** Watches a request with such limits, and warns if it succeeds without a call of the guard. */
  watch(
    route: CompiledRoute,
    policies: readonly RoutePolicy[],
    context: ExecutionContext,
    transport: Transport,
  ): void {
    if (this.#known.has(route)) return;
    onGuardsDone(context, transport, ({ success }) => {
      if (!success || this.#known.has(route)) return;
      this.#known.add(route);
      const late = policies.find(({ phase }) => phase === 'afterAuth');
      this.warnings.once(
        `unbound guard ${route.id}`,
        `${late?.where}: the limit "${late?.name}" of the phase 'afterAuth' is not counted on the route "${route.id.replace('http ', '')}", ` +
          'where RateLimitGuard is not bound. Bind it after your own guard: @UseGuards(YourGuard, RateLimitGuard).',
      );
    });
  }
}
