import { ConfigurationError } from '../common/errors.js';
import { describeValue } from '../common/describe.js';
import { END, MANY, ONE, segmentOfPattern, segmentOfTemplate, STATIC, type Segment } from './path-segment.js';
import type { PathSegments } from './request-path.js';

/** Longest pattern, in characters: patterns are compared by segment with each other and with templates. */
const MAX_PATTERN_LENGTH = 1000;

/**
 * A path with placeholders: `*` or `:name` for one segment, `**` for any number of them, and glob
 * syntax within a segment: `*.json`, `{users,orders}`, `v[12]`. Letter case is ignored.
 *
 * With at most one `**`, matching reads no more segments than the pattern has. With several, it
 * searches the path between the first and the last of them once.
 */
export class PathPattern {
  readonly #segments: readonly Segment[];
  /** The segments before the first `**`. */
  readonly #first: readonly Segment[];
  /** The segments from each `**` to the next. */
  readonly #middle: readonly (readonly Segment[])[];
  /** The segments after the last `**`; absent where there is none. */
  readonly #last: readonly Segment[] | undefined;
  /** The number of segments besides `**`. */
  readonly #least: number;

  /** @throws ConfigurationError when the text is not a path, or would take long to match */
  constructor(readonly text: string) {
    if (typeof text !== 'string' || !text.startsWith('/')) {
      throw new ConfigurationError(`A path begins with "/", such as "/api/**"; got ${describeValue(text)}.`);
    }
    if (text.length > MAX_PATTERN_LENGTH)
      throw new ConfigurationError(
        `A path has at most ${MAX_PATTERN_LENGTH} characters; got ${describeValue(text)}.`,
      );
    this.#segments = segmentsOf(text).map(segmentOfPattern);
    const [first = [], ...others] = runsOf(this.#segments);
    this.#last = others.pop();
    this.#first = first;
    this.#middle = others;
    this.#least = this.#segments.filter(({ openness }) => openness !== MANY).length;
  }

  /** Whether the pattern matches a path. */
  matches(path: PathSegments): boolean {
    const last = this.#last;
    if (last === undefined ? path.length !== this.#least : path.length < this.#least) return false;
    if (!matchesAt(this.#first, path, 0)) return false;
    if (last === undefined) return true;
    const end = path.length - last.length;
    return matchesAt(last, path, end) && matchesInOrder(this.#middle, path, this.#first.length, end);
  }

  /**
   * Tells how many requests of a route match, by the template of its path as Express or Fastify
   * have it. `'some'` where each path has to be matched.
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

function runsOf(segments: readonly Segment[]): Segment[][] {
  const runs: Segment[][] = [[]];
  for (const segment of segments) {
    if (segment.openness === MANY) runs.push([]);
    else runs.at(-1)?.push(segment);
  }
  return runs;
}

function matchesAt(run: readonly Segment[], path: PathSegments, start: number): boolean {
  return run.every((segment, index) => segment.matches(path[start + index] as string));
}

/** Whether the runs follow one another in a part of a path. The first place of each leaves most for the next. */
function matchesInOrder(
  runs: readonly (readonly Segment[])[],
  path: PathSegments,
  start: number,
  end: number,
): boolean {
  let next = start;
  for (const run of runs) {
    while (next + run.length <= end && !matchesAt(run, path, next)) next++;
    next += run.length;
    if (next > end) return false;
  }
  return true;
}

/** Whether some path may match both the pattern and the template. */
function overlap(pattern: readonly Segment[], template: readonly Segment[]): boolean {
  return align(
    pattern,
    template,
    (segment, other) => other.openness !== STATIC || segment.matches(other.text),
    true,
  );
}

/** Whether the pattern matches every path of the template, as far as segments tell one by one. */
function covers(pattern: readonly Segment[], template: readonly Segment[]): boolean {
  return align(pattern, template, coversOne, false);
}

/**
 * Whether the segments fit one to one, except that `**` takes any number of them. The result for each
 * pair of rests is kept, so that several `**` take no exponential time.
 *
 * @param isOpen whether a `**` of the template, too, takes any number
 */
function align(
  pattern: readonly Segment[],
  template: readonly Segment[],
  fits: (segment: Segment, other: Segment) => boolean,
  isOpen: boolean,
): boolean {
  /** Whether the rest of the pattern fits the rest of the template, by where the latter starts. */
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
