import { isOfThrottler, TODO, type Source } from '../source.js';

/** Reports what still uses the throttler and no other step has spoken about. */
export function reportLeftovers(source: Source): void {
  const { ts } = source;
  for (const module of source.all(ts.isStringLiteralLike))
    if (isOfThrottler(module.text) && !ts.isImportDeclaration(module.parent) && !source.isLeft(module))
      source.todo(module, 'the throttler is loaded, exported or mocked by name');
  if (source.findings.some(({ kind }) => kind === 'todo') || source.text.includes(TODO)) return;
  const left = source.imports.filter(
    ({ module, local }) =>
      isOfThrottler(module) &&
      (source.identifiers.some(
        (node) => node.text === local && !source.edits.covers(node.getStart(source.file)),
      ) ||
        source.edits.mentions(local)),
  );
  const [first] = left;
  if (first !== undefined)
    source.todo(
      first.declaration,
      `${left.map(({ local }) => local).join(', ')}: no equivalent is written for you`,
    );
}
