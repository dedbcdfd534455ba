import picomatch from 'picomatch';
import { ConfigurationError } from '../common/errors.js';
import { describeValue, quote } from '../common/describe.js';
import { decodeSegment } from './request-path.js';

/** How much a segment leaves open, the most definite first: `users`, `*.json`, `*`, none where a pattern has ended, and `**`. */
const [STATIC, PART, ONE, END, MANY] = [0, 1, 2, 3, 4];

/** Characters of a pattern: patterns are compared segment by segment with each other and with the templates of routes. */
const MAX_PATTERN_LENGTH = 1000;

/** How many texts the braces of a segment may stand for: they are all tried. */
const MAX_ALTERNATIVES = 100;

/** One segment of a pattern, or of the template of a route. */
interface Segment {
  readonly openness: number;
  /** As it is compared; of a static one the text itself. */
  readonly text: string;
  /** Whether a segment of a request's path, spelt as ours are, is one of those that it stands for. */
  readonly matches: (segment: string) => boolean;
}

/**
 * A path with placeholders: `*` or `:name` for one segment, `**` for any number of them, and within a segment what globs have:
 * `*.json`, `{users,orders}`, `v[12]`. Letters' case does not matter. To match a path takes time in proportion to its length.
 */
export class PathPattern {
  readonly #segments: readonly Segment[];

  /** @throws ConfigurationError when the text is no path, or would take long to match */
  constructor(readonly text: string) {
    if (typeof text !== 'string' || !text.startsWith('/')) {
      throw new ConfigurationError(`A path begins with "/", such as "/api/**"; got ${describeValue(text)}.`);
    }
    if (text.length > MAX_PATTERN_LENGTH)
      throw new ConfigurationError(
        `A path has at most ${MAX_PATTERN_LENGTH} characters; got ${describeValue(text)}.`,
      );
    this.#segments = segmentsOf(text).map(segmentOfPattern);
  }

  /** @param path as `requestPath` gives it */
  matches(path: string): boolean {
    return matchesAll(this.#segments, segmentsOf(path).map(fold));
  }

  /**
   * How many of the requests of a route match, by the template of its path as Express or Fastify have it. `'some'` when it
   * takes a look at each of them.
   */
  matchesOf(template: string): 'all' | 'some' | 'none' {
    const segments = segmentsOf(template).map(segmentOfTemplate);
    if (!segments.every((segment) => segment !== undefined)) return 'some';
    if (!overlap(this.#segments, segments)) return 'none';
    return covers(this.#segments, segments) ? 'all' : 'some';
  }

  /** Whether every path that the other pattern matches is one of this one's, as far as that can be told. */
  covers(other: PathPattern): boolean {
    return covers(this.#segments, other.#segments);
  }

  /** Negative when this pattern is the more specific one: where they first differ, it leaves less open. */
  compareTo(other: PathPattern): number {
    const length = Math.max(this.#segments.length, other.#segments.length);
    for (let index = 0; index < length; index++) {
      const own = this.#segments[index]?.openness ?? END;
      const others = other.#segments[index]?.openness ?? END;
      if (own !== others) return own - others;
    }
    return 0;
  }
}

function segmentsOf(path: string): string[] {
  return path.split('/').filter(Boolean);
}

/** One spelling for all that some router takes for the same: Fastify may ignore letters' case, and does so in Unicode. */
function fold(segment: string): string {
  return segment.toLowerCase().toUpperCase();
}

const any = (): boolean => true;
const anyOne: Segment = { openness: ONE, text: '*', matches: any };
const anyMany: Segment = { openness: MANY, text: '**', matches: any };

function segmentOfPattern(given: string): Segment {
  if (given === '**') return anyMany;
  const text = fold(decodeSegment(given).replaceAll(/:\w+/g, '*'));
  if (text === '*') return anyOne;
  if (!/[*?[\]{}()|\\]/.test(text)) return staticSegment(text);
  // Two stars, or what may repeat, would be tried in every combination at the will of whoever sends a long path.
  if (text.split('*').length > 2 || /[+()|\\]/.test(text)) {
    throw new ConfigurationError(
      'A segment of a path is "*", ":name" or "**", or text with at most one "*", and with "?", "[…]" and "{a,b}"; ' +
        `got ${describeValue(given)}.`,
    );
  }
  if (alternativesIn(text) > MAX_ALTERNATIVES)
    throw new ConfigurationError(
      `A segment of a path has braces that stand for too many texts: got ${quote(given)}. Make several rules of it.`,
    );
  return { openness: PART, text, matches: globOf(text, given) };
}

/** At least as many as the braces stand for, nested ones included. */
function alternativesIn(text: string): number {
  const groups = text.split('{').length - 1;
  return groups === 0 ? 1 : ((text.split(',').length - 1) / groups + 1) ** groups;
}

function globOf(text: string, given: string): (segment: string) => boolean {
  // Without "debug", what cannot be read would be a pattern that matches nothing.
  const options = { debug: true, dot: true, flags: 's', nonegate: true, windows: false };
  try {
    return picomatch(text, options);
  } catch (cause) {
    throw new ConfigurationError(
      `A segment of a path has a "{" or a "[" without its end, or a range that is none: got ${quote(given)}. Write "{a,b}" or "[a-z]".`,
      { cause },
    );
  }
}

function staticSegment(text: string): Segment {
  return { openness: STATIC, text, matches: (segment) => segment === text };
}

/** What a segment of a route's template stands for; `undefined` where that may be more than this knows. */
function segmentOfTemplate(given: string): Segment | undefined {
  if (/[{}()|?\\]|.\*/.test(given)) return undefined; // optional parts, regular expressions, prefixes of wildcards
  if (given.startsWith('*')) return anyMany;
  return given.includes(':') ? anyOne : staticSegment(fold(decodeSegment(given)));
}

/** By trying `**` with ever more segments; only the last of several has to be tried again. */
function matchesAll(pattern: readonly Segment[], path: readonly string[]): boolean {
  let [at, next] = [0, 0];
  let retry: { readonly pattern: number; path: number } | undefined;
  while (at < path.length) {
    const segment = pattern[next];
    if (segment?.openness === MANY) {
      retry = { pattern: ++next, path: at };
    } else if (segment?.matches(path[at] as string)) {
      next++;
      at++;
    } else if (retry !== undefined) {
      next = retry.pattern;
      at = ++retry.path;
    } else {
      return false;
    }
  }
  return pattern.slice(next).every(({ openness }) => openness === MANY);
}

/** Whether some path may be one of the pattern's and one of the template's. */
function overlap(pattern: readonly Segment[], template: readonly Segment[]): boolean {
  return align(
    pattern,
    template,
    (segment, other) => other.openness !== STATIC || segment.matches(other.text),
    true,
  );
}

/** Whether every path of the template is one of the pattern's, as far as segments tell one by one. */
function covers(pattern: readonly Segment[], template: readonly Segment[]): boolean {
  return align(pattern, template, coversOne, false);
}

/**
 * Whether the segments fit, one to one but for `**`, which takes any number. What is known of every rest is kept: to try each
 * `**` with every number of segments anew would take ages for several.
 *
 * @param isOpen whether a `**` of the template, too, takes any number
 */
function align(
  pattern: readonly Segment[],
  template: readonly Segment[],
  fits: (segment: Segment, other: Segment) => boolean,
  isOpen: boolean,
): boolean {
  /** Whether the rest of the pattern fits that of the template from each place on; first of an empty rest. */
  let rests: boolean[] = [];
  for (let at = pattern.length; at >= 0; at--) {
    const segment = pattern[at];
    const shorter = rests;
    rests = [];
    for (let place = template.length; place >= 0; place--) {
      const other = template[place];
      const takesAny = segment?.openness === MANY || (isOpen && other?.openness === MANY);
      if (takesAny) rests[place] = shorter[place] === true || rests[place + 1] === true;
      else if (segment === undefined || other === undefined) rests[place] = segment === other;
      else rests[place] = shorter[place + 1] === true && fits(segment, other);
    }
  }
  return rests[0] === true;
}

function coversOne(segment: Segment, other: Segment): boolean {
  if (other.openness === MANY) return false;
  if (other.openness === STATIC) return segment.matches(other.text);
  return segment.openness === ONE || segment.text === other.text;
}
