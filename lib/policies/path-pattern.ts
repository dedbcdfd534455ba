import picomatch from 'picomatch';
import { ConfigurationError } from '../common/errors.js';
import { describeValue } from '../common/identifier.js';

/** How much a segment of a pattern leaves open, the most definite first. */
const [STATIC, PART, ONE, MANY] = [0, 1, 2, 3];

/** A path with placeholders: `*` or `:name` for one segment, `**` for any number of them. Letters' case does not matter. */
export class PathPattern {
  readonly #matches: (path: string) => boolean;
  readonly #segments: readonly string[];

  /** @throws ConfigurationError when the text is no path */
  constructor(readonly text: string) {
    if (typeof text !== 'string' || !text.startsWith('/')) {
      throw new ConfigurationError(`A path begins with "/", such as "/api/**"; got ${describeValue(text)}.`);
    }
    this.#segments = segmentsOf(text).map((segment) => (isParameter(segment) ? '*' : segment.toLowerCase()));
    this.#matches = picomatch(`/${this.#segments.join('/')}`, { nocase: true, dot: true });
  }

  /** @param path as `requestPath` gives it */
  matches(path: string): boolean {
    return this.#matches(path);
  }

  /**
   * How many of the requests of a route match, by the template of its path as Express or Fastify have it. `'some'` when it
   * takes a look at each of them.
   */
  matchesOf(template: string): 'all' | 'some' | 'none' {
    if (/[{}()|]/.test(template)) return 'some'; // optional parts and regular expressions
    const segments = segmentsOf(template).map((segment) => segment.toLowerCase());
    if (!overlap(this.#segments, segments)) return 'none';
    return this.#segments.every((segment) => opennessOf(segment) !== PART) && covers(this.#segments, segments)
      ? 'all'
      : 'some';
  }

  /** Negative when this pattern is the more specific one: where they first differ, it leaves less open. */
  compareTo(other: PathPattern): number {
    const length = Math.max(this.#segments.length, other.#segments.length);
    for (let index = 0; index < length; index++) {
      const [one, two] = [this.#segments[index], other.#segments[index]];
      // A path that ends is more specific than one that goes on anyhow, and less than one that goes on in some way.
      if (one === undefined) return two === '**' ? -1 : 1;
      if (two === undefined) return one === '**' ? 1 : -1;
      const difference = opennessOf(one) - opennessOf(two);
      if (difference !== 0) return difference;
    }
    return 0;
  }
}

function segmentsOf(path: string): string[] {
  return path.split('/').filter(Boolean);
}

function isParameter(segment: string): boolean {
  return /^:\w+$/.test(segment);
}

function opennessOf(segment: string): number {
  if (segment === '**') return MANY;
  if (segment === '*') return ONE;
  return /[*?[\]{}()!+@\\]/.test(segment) ? PART : STATIC;
}

/** What a segment of a route's template stands for. */
function isWildcard(segment: string): boolean {
  return segment.startsWith('*');
}

function isVariable(segment: string): boolean {
  return segment.includes(':') || segment.includes('*');
}

/** Whether some path is one of the pattern's and one of the template's. */
function overlap(pattern: readonly string[], template: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  const [head, ...tail] = template;
  if (first === '**') return overlap(rest, template) || (head !== undefined && overlap(pattern, tail));
  if (head !== undefined && isWildcard(head))
    return overlap(pattern, tail) || (first !== undefined && overlap(rest, template));
  if (first === undefined || head === undefined) return first === head;
  const fits = opennessOf(first) !== STATIC || isVariable(head) || first === head;
  return fits && overlap(rest, tail);
}

/** Whether every path of the template is one of the pattern's. */
function covers(pattern: readonly string[], template: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  const [head, ...tail] = template;
  if (first === '**') return covers(rest, template) || (head !== undefined && covers(pattern, tail));
  if (first === undefined || head === undefined) return first === head;
  if (isWildcard(head)) return false;
  return (first === '*' || (first === head && !isVariable(head))) && covers(rest, tail);
}
