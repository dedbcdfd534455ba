import { foldCase, foldPath, type PathSegments } from './request-path.js';

/** The parameters of a request, as Express and Fastify give them. */
export type RouteParameters = Readonly<Record<string, unknown>>;

/** A part of a template: text, a parameter, or parts that are all there or all absent. */
type Part =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'parameter'; readonly name: string; readonly isOptional: boolean }
  | { readonly kind: 'wildcard'; readonly names: readonly string[] }
  | { readonly kind: 'group'; readonly parts: readonly Part[] };

type TokenGroup =
  'escaped' | 'colon' | 'quoted' | 'name' | 'regexp' | 'modifier' | 'wildcard' | 'bracket' | 'text';
type Token = Readonly<Partial<Record<TokenGroup, string>>>;

const TOKEN =
  /\\(?<escaped>.)|(?<colon>::)|:(?:"(?<quoted>(?:[^"\\]|\\.)*)"|(?<name>[\p{ID_Continue}$]+))(?<regexp>\((?:[^()\\]|\\.|\([^()]*\))*\))?(?<modifier>[?+*]?)|\*(?<wildcard>[\p{ID_Continue}$]*)|(?<bracket>[{}])|(?<text>[^\\:*{}()?+]+)/suy;

/** The template of a route, as Express or Fastify has it: `/users/:id`, `/files/*path`. */
export class RouteTemplate {
  /** Whether a parameter takes several segments. True where the template cannot be read. */
  readonly isCatchAll: boolean;
  /** Absent where the template cannot be read. */
  readonly #parts: readonly Part[] | undefined;

  constructor(text: string) {
    this.#parts = readParts(text);
    this.isCatchAll = this.#parts === undefined || hasWildcard(this.#parts);
  }

  /**
   * Returns the path that the router matched: the template with its parameters filled in.
   * `undefined` where that cannot be told, for example for a template with a regular expression.
   */
  fill(parameters: RouteParameters): PathSegments | undefined {
    const path = this.#parts && fillParts(this.#parts, parameters);
    return path === undefined ? undefined : foldCase(path).split('/').filter(Boolean);
  }
}

function readParts(text: string): Part[] | undefined {
  const open: Part[][] = [[]];
  let wildcards = 0;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const groups = TOKEN.exec(text)?.groups as Token | undefined;
    const parts = open.at(-1);
    if (groups === undefined || parts === undefined) return undefined;
    const { bracket, wildcard, modifier } = groups;
    const name = groups.name ?? groups.quoted?.replaceAll(/\\(.)/gs, '$1');
    if (bracket === '{') open.push([]);
    else if (bracket === '}') {
      open.pop();
      open.at(-1)?.push({ kind: 'group', parts });
    } else if (wildcard !== undefined) {
      // Fastify names a wildcard "*", Express 4 numbers them.
      parts.push({ kind: 'wildcard', names: wildcard === '' ? ['*', String(wildcards++)] : [wildcard] });
    } else if (name !== undefined) {
      if (modifier === '+' || modifier === '*') return undefined;
      parts.push({ kind: 'parameter', name, isOptional: modifier === '?' });
    } else {
      parts.push({
        kind: 'text',
        text: groups.escaped ?? (groups.colon ? ':' : foldPath(groups.text ?? '')),
      });
    }
  }
  return open.length === 1 ? open[0] : undefined;
}

function hasWildcard(parts: readonly Part[]): boolean {
  return parts.some((part) => part.kind === 'wildcard' || (part.kind === 'group' && hasWildcard(part.parts)));
}

function fillParts(parts: readonly Part[], parameters: RouteParameters): string | undefined {
  let path = '';
  for (const part of parts) {
    const filled = fillPart(part, parameters);
    if (filled === undefined) return undefined;
    path += filled;
  }
  return path;
}

function fillPart(part: Part, parameters: RouteParameters): string | undefined {
  switch (part.kind) {
    case 'text':
      return part.text;
    case 'parameter':
      return encodeSlashes(parameters[part.name]) ?? (part.isOptional ? '' : undefined);
    case 'wildcard': {
      const name = part.names.find((one) => parameters[one] !== undefined);
      const value = name === undefined ? undefined : parameters[name];
      if (!Array.isArray(value)) return typeof value === 'string' ? value : undefined;
      const segments = value.map(encodeSlashes);
      return segments.includes(undefined) ? undefined : segments.join('/');
    }
    case 'group':
      return fillGroup(part.parts, parameters);
  }
}

/** Fills a group, which is absent from the path where none of its parameters has a value. */
function fillGroup(parts: readonly Part[], parameters: RouteParameters): string | undefined {
  const names = parts.flatMap((part) =>
    part.kind === 'parameter' ? [part.name] : part.kind === 'wildcard' ? part.names : [],
  );
  if (names.length === 0) return undefined; // nothing tells whether it is there
  return names.some((name) => parameters[name] !== undefined) ? fillParts(parts, parameters) : '';
}

/** Returns the text of a parameter, which schemas of Fastify may have made a number or a boolean. */
function encodeSlashes(value: unknown): string | undefined {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' ? value.replaceAll('/', '%2F') : undefined;
}
