import { Inject, Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { foldPath, splitPath } from '../../policies/request-path.js';
import { PathPattern } from '../../policies/path-pattern.js';
import type { RateLimitRule } from '../options/rate-limit.options.js';
import { Warnings } from '../options/warnings.js';

/** An entry in the routing table of Express. */
interface Layer {
  /** Absent for what is mounted by `app.use`. */
  readonly route?: unknown;
  /** The part of the path that matched last; of a mounted handler, the path where it is mounted. */
  readonly path?: string | undefined;
  /** Returns true, or the part that has matched, in newer versions. */
  match(path: string): boolean | { readonly path?: string };
}

/** Express 4 has `_router`, and throws for `router`. */
interface ExpressApplication {
  readonly _router?: { readonly stack?: readonly Layer[] };
  readonly router?: { readonly stack?: readonly Layer[] };
}

/** A path below a mounted handler, which it answers as well. */
const BELOW = '/x';

/**
 * Warns of rules that clients evade by a longer path: Express hands `/graphql/x` to a handler that is
 * mounted at `/graphql`, as Apollo's is.
 */
@Injectable()
export class MountedPaths {
  constructor(
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
    @Inject(Warnings) private readonly warnings: Warnings,
  ) {}

  /** Checks rules against what is mounted now. */
  check(rules: readonly Pick<RateLimitRule, 'id' | 'path'>[]): void {
    const mounted = this.#mountedLayers();
    if (mounted.length === 0) return;
    for (const { id, path } of rules) {
      const example = exampleOf(path);
      if (example === undefined || new PathPattern(path).matches(splitPath(example + BELOW))) continue;
      if (!mounted.some((layer) => isMountedAt(layer, example))) continue;
      this.warnings.once(
        `mounted ${id}`,
        `The rule "${id}" is for "${path}", where Express has a handler mounted: it answers longer paths too, such as ` +
          `"${example}${BELOW}", which the rule does not limit. Write path: "${path.replace(/\/+$/, '')}/**".`,
      );
    }
  }

  #mountedLayers(): readonly Layer[] {
    // Absent in an application without HTTP.
    const adapter = this.adapterHost.httpAdapter as HttpAdapterHost['httpAdapter'] | undefined;
    if (adapter?.getType() !== 'express') return [];
    const application = adapter.getInstance<ExpressApplication>();
    const { stack = [] } = application._router ?? application.router ?? {};
    return stack.filter(({ route }) => route === undefined);
  }
}

function isMountedAt(layer: Layer, path: string): boolean {
  const match = layer.match(path + BELOW);
  if (match === false) return false;
  const { path: matched = '' } = match === true ? layer : match;
  return foldPath(matched) === foldPath(path);
}

/** Returns a path that a pattern matches; `undefined` for one with glob syntax or an escape in a segment. */
function exampleOf(pattern: string): string | undefined {
  const segments = pattern.split('/').filter((segment) => segment !== '' && segment !== '**');
  const filled = segments.map((segment) => (segment === '*' || segment.startsWith(':') ? 'x' : segment));
  return filled.some((segment) => /[%*?{}[\]()!+@]/.test(segment)) ? undefined : `/${filled.join('/')}`;
}
