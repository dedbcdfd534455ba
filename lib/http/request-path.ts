import { decodeSegment } from '../common/path-segment.js';

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
