const SCHEME_AND_HOST = /^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i;
const QUERY_AND_FRAGMENT = /[?#].*/s;

/**
 * The path of a request's URL in one spelling: without host, query and fragment, without empty segments and a trailing slash,
 * and percent-decoded, but for encoded slashes. Letters keep their case, and `.` and `..` stay: no router resolves them.
 */
export function requestPath(url: string): string {
  const path = url.replace(SCHEME_AND_HOST, '').replace(QUERY_AND_FRAGMENT, '');
  return `/${path.split('/').filter(Boolean).map(decodeSegment).join('/')}`;
}

/** Percent-decodes one segment of a path, but for slashes, which would then part it; what is malformed stays as it is. */
export function decodeSegment(segment: string): string {
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment).replaceAll('/', '%2F');
  } catch {
    return segment; // no router decodes it either
  }
}
