/** Percent-decodes one segment of a path, but for slashes, which would then part it; what is malformed stays as it is. */
export function decodeSegment(segment: string): string {
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment).replaceAll('/', '%2F');
  } catch {
    return segment; // no router decodes it either
  }
}
