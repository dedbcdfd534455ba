import type { CompiledRoute } from '../routes/route-policy.js';

/** A path of a route, in a form that paths of a document are compared with. */
interface RoutePath {
  readonly route: CompiledRoute;
  /** `'ALL'` for every method. */
  readonly method: string;
  readonly path: string;
  readonly versions: readonly string[];
}

/** The name of a route: its method, its paths, and its versions. */
const NAME = /^http (?<method>[A-Z]+) (?<paths>\S+)(?: v(?<versions>\S+))?/;

/** Finds the route of an operation in a document. */
export class RouteOperations {
  readonly #paths: readonly RoutePath[];

  constructor(routes: readonly CompiledRoute[]) {
    this.#paths = routes.flatMap(pathsOf);
  }

  /**
   * Returns the route of an operation. The document's path may begin with a global prefix and a
   * version, so the route with the longest path at its end is taken; of several versions, the one
   * in the path.
   */
  find(method: string, documentPath: string): CompiledRoute | undefined {
    const path = documentPath.replaceAll(/\{[^}]*\}/g, '{}');
    const found = this.#paths.filter(
      (one) => (one.method === 'ALL' || one.method === method) && isAtEnd(one.path, path),
    );
    const longest = Math.max(...found.map((one) => one.path.length));
    const best = found.filter((one) => one.path.length === longest);
    const before = path.slice(0, path.length - longest).split('/');
    // Version 1 ends the segment `v11`, too: the longest version is the one of the path.
    const lengthOf = ({ versions }: RoutePath): number =>
      Math.max(
        0,
        ...versions
          .filter((version) => before.some((segment) => segment.endsWith(version)))
          .map(({ length }) => length),
      );
    return best.sort((one, other) => lengthOf(other) - lengthOf(one))[0]?.route;
  }
}

function pathsOf(route: CompiledRoute): RoutePath[] {
  const { method = '', paths = '', versions } = NAME.exec(route.id)?.groups ?? {};
  if (method === '') return [];
  return paths.split('|').map((path) => ({
    route,
    method,
    path: path
      .replaceAll(/:[\p{ID_Continue}$]+(\([^)]*\))?[?+*]?|\*[\p{ID_Continue}$]*/gu, '{}')
      .replace(/\/$/, ''),
    versions: versions?.split('|') ?? [],
  }));
}

function isAtEnd(end: string, path: string): boolean {
  return path.replace(/\/$/, '').endsWith(end);
}
