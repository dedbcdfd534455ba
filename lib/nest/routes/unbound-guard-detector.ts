import { Inject, Injectable, type ExecutionContext } from '@nestjs/common';
import type { CompiledRoute, RoutePolicy } from './route-policy.js';
import { Warnings } from '../options/warnings.js';
import { onCallEnd } from '../transports/call-ends.js';
import type { Transport } from '../transports/transport.js';

/** Warns once per route whose limits of the phase `'afterAuth'` nothing counts, since `RateLimitGuard` is not bound there. */
@Injectable()
export class UnboundGuardDetector {
  /** Routes that the guard was seen on, and those that were warned of. */
  readonly #known = new WeakSet<CompiledRoute>();

  constructor(@Inject(Warnings) private readonly warnings: Warnings) {}

  /** The guard has been called on a route. */
  see(route: CompiledRoute): void {
    this.#known.add(route);
  }

  /** A request with such limits is on its way: once it has been answered well, the guard must have been called. */
  watch(
    route: CompiledRoute,
    policies: readonly RoutePolicy[],
    context: ExecutionContext,
    transport: Transport,
  ): void {
    if (this.#known.has(route)) return;
    onCallEnd(context, transport, ({ success }) => {
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
