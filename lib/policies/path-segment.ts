import picomatch from 'picomatch';
import { ConfigurationError } from '../common/errors.js';
import { describeValue, quote } from '../common/describe.js';
import { foldPath } from './request-path.js';

/** How much a segment leaves open, the least first: `users`, `*.json`, `*`, no segment at all, and `**`. */
export const [STATIC, PART, ONE, END, MANY] = [0, 1, 2, 3, 4];

/** Most texts that the braces of a segment may expand to, since each is tried. */
const MAX_ALTERNATIVES = 100;

/** One segment of a pattern, or of the template of a route. */
export interface Segment {
  readonly openness: number;
  /** The text for comparisons; of a static segment the text that it matches. */
  readonly text: string;
  /** Whether it matches a segment of a request's path. */
  readonly matches: (segment: string) => boolean;
}

const any = (): boolean => true;
const anyOne: Segment = { openness: ONE, text: '*', matches: any };
const anyMany: Segment = { openness: MANY, text: '**', matches: any };

/** @throws ConfigurationError when the segment cannot be read, or would take long to match */
export function segmentOfPattern(given: string): Segment {
  if (given === '**') return anyMany;
  const text = foldPath(given).replaceAll(/:\w+/g, '*');
  if (text === '*') return anyOne;
  if (!/[*?[\]{}()|\\]/.test(text)) return staticSegment(text);
  // Several stars or repetitions would be tried in every combination against a long path.
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
  return { openness: PART, text, matches: /[?[\]{}]/.test(text) ? globOf(text, given) : affixesOf(text) };
}

/** An upper bound of the texts that the braces expand to, nested ones included. */
function alternativesIn(text: string): number {
  const groups = text.split('{').length - 1;
  return groups === 0 ? 1 : ((text.split(',').length - 1) / groups + 1) ** groups;
}

/** Compares the texts before and after the only `*`, which takes the same time for a segment of any length. */
function affixesOf(text: string): (segment: string) => boolean {
  const [prefix = '', suffix = ''] = text.split('*');
  const least = prefix.length + suffix.length;
  return (segment) => segment.length >= least && segment.startsWith(prefix) && segment.endsWith(suffix);
}

function globOf(text: string, given: string): (segment: string) => boolean {
  // Without "debug", an unreadable text becomes a pattern that matches nothing.
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

/** Reads a segment of a route's template; `undefined` where it may match more than can be told. */
export function segmentOfTemplate(given: string): Segment | undefined {
  if (/[{}()|?\\]|.\*/.test(given)) return undefined; // optional parts, regular expressions, prefixes of wildcards
  if (given.startsWith('*')) return anyMany;
  return given.includes(':') ? anyOne : staticSegment(foldPath(given));
}
