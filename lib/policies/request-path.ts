/** A path as rules compare it: its segments, percent-decoded and in one letter case. */
export type PathSegments = readonly string[];

const SCHEME_AND_HOST = /^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i;
const UP_TO_FIRST_SLASH = /^[a-z][a-z\d+.-]*:\/\/[^/]*/i;
const QUERY_AND_FRAGMENT = /[?#].*/s;
const MATRIX_PARAMETERS = /;.*/s;
const DOT_SEGMENT_OR_OTHER_SLASH = /(?:^|\/)\.\.?(?:\/|$)|%2F|\\/;

/**
 * Returns the segments of a path without its query. Empty segments and a trailing slash are
 * dropped, and encoded slashes stay encoded. `.` and `..` stay: routers do not resolve them.
 */
export function splitPath(path: string): PathSegments {
  return segmentsOf(foldPath(path));
}

/** Returns a path percent-decoded and in one letter case, for comparison. */
export function foldPath(path: string): string {
  return foldCase(decodePath(path));
}

/** Maps letters that a case-insensitive router takes for one to the same text, as Fastify does in Unicode. */
export function foldCase(text: string): string {
  return text.toLowerCase().toUpperCase();
}

/**
 * Returns every path that a router may read in a request target, without duplicates.
 *
 * One that does not start with `/` is read as RFC 9112 says, and from the first slash after the
 * scheme, as Fastify does before find-my-way 9.8. Fastify may also end the path at `;`, and it
 * matches a parameter with an empty segment.
 */
export function targetReadings(target: string): PathSegments[] {
  const whole = target.startsWith('/')
    ? [target]
    : [target, target.replaceAll('\\', '/')].flatMap((text) => [
        text.replace(SCHEME_AND_HOST, ''),
        text.replace(UP_TO_FIRST_SLASH, ''),
      ]);
  const paths = whole.flatMap((text) => {
    const path = text.replace(QUERY_AND_FRAGMENT, '');
    return [path, path.replace(MATRIX_PARAMETERS, '')];
  });
  return [...new Set(paths)].flatMap((path) => {
    const [, ...all] = foldPath(path.startsWith('/') ? path : `/${path}`).split('/');
    const segments = all.filter(Boolean);
    return segments.length === 0 || segments.length === all.length ? [segments] : [segments, all];
  });
}

/**
 * Returns the paths, of those given, that change for a handler which decodes slashes, takes `\` for
 * one and resolves `.` and `..`, as handlers of files do.
 */
export function resolvedPaths(paths: readonly PathSegments[]): PathSegments[] {
  const texts = new Set(paths.map((path) => path.join('/')));
  return [...texts].filter((text) => DOT_SEGMENT_OR_OTHER_SLASH.test(text)).map(resolveDots);
}

function resolveDots(text: string): PathSegments {
  const resolved: string[] = [];
  for (const segment of text.split(/\/|%2F|\\/)) {
    if (segment === '..') resolved.pop();
    else if (segment !== '.' && segment !== '') resolved.push(segment);
  }
  return resolved;
}

function segmentsOf(path: string): string[] {
  return path.split('/').filter(Boolean);
}

/**
 * Percent-decodes a path, except slashes. A malformed path, which every router refuses, is decoded
 * as far as it goes, in one pass: to catch an error for each segment would take milliseconds.
 */
function decodePath(path: string): string {
  if (!path.includes('%')) return path;
  const kept = path.replaceAll(/%2f/gi, '%252F');
  try {
    return decodeURIComponent(kept);
  } catch {
    const bytes = Buffer.from(kept).toString('latin1');
    return Buffer.from(bytes.replaceAll(/%[\da-f]{2}/gi, decodeByte), 'latin1').toString();
  }
}

function decodeByte(escape: string): string {
  return String.fromCharCode(Number.parseInt(escape.slice(1), 16));
}
