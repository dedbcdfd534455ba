/**
 * The path of a request's URL in one spelling: without host, query and fragment, without empty segments and a trailing
 * slash, and percent-decoded, but for encoded slashes. Letters keep their case.
 */
export function requestPath(url: string): string {
  const [, path = ''] = /^(?:[a-z][a-z\d+.-]*:\/\/[^/?#]*)?([^?#]*)/i.exec(url) ?? [];
  return `/${path.split('/').filter(Boolean).map(decodeSegment).filter(Boolean).join('/')}`;
}

function decodeSegment(segment: string): string {
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment).replaceAll('/', '%2F');
  } catch {
    return segment; // malformed: no router decodes it either
  }
}
