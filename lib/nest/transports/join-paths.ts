/** Joins paths, with a single slash before each segment. */
export function joinPaths(...paths: string[]): string {
  return `/${paths
    .flatMap((path) => path.split('/'))
    .filter(Boolean)
    .join('/')}`;
}
