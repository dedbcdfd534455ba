import type { Source } from '../source.js';
import type { ts } from '../typescript.js';

/** Where a decorator stands. */
export interface Target {
  /** True on a method; false on a class, and where that is not known. */
  readonly isMethod: boolean;
  /** The decorator, if the call is one. */
  readonly decorator: ts.Decorator | undefined;
  readonly method: ts.MethodDeclaration | undefined;
  readonly class: ts.Node | undefined;
}

export function targetOf({ ts }: Source, call: ts.CallExpression): Target {
  const { parent } = call;
  if (!ts.isDecorator(parent))
    return { isMethod: false, decorator: undefined, method: undefined, class: undefined };
  const owner = parent.parent;
  const method = ts.isMethodDeclaration(owner) ? owner : undefined;
  return {
    isMethod: method !== undefined,
    decorator: parent,
    method,
    class: method?.parent ?? owner,
  };
}

/**
 * Replaces the call of a decorator by others, each in a line of its own if the first one is. Comments in the call move above it.
 * Returns false if several calls cannot take the place of one.
 */
export function replaceDecorator(
  source: Source,
  call: ts.CallExpression,
  { decorator }: Target,
  calls: readonly string[],
): boolean {
  const { ts } = source;
  if (decorator === undefined) {
    const list =
      ts.isCallExpression(call.parent) && call.parent.expression !== call ? call.parent.arguments : undefined;
    if (calls.length === 0 && list !== undefined) {
      source.removeFromList(call, list);
      return true;
    }
    if (calls.length !== 1 && list === undefined) return false;
    source.replace(call, calls.join(', '));
    return true;
  }
  const isFirst = source.isFirstInLine(decorator);
  const separator = isFirst ? `\n${source.indentOf(decorator)}` : ' ';
  const comments = isFirst ? commentsIn(source, call) : [];
  if (calls.length === 0) source.remove(decorator);
  else source.replace(decorator, [...comments, ...calls.map((code) => `@${code}`)].join(separator));
  return true;
}

function commentsIn({ ts, text, file }: Source, node: ts.Node): string[] {
  const scanner = ts.createScanner(ts.ScriptTarget.Latest, false, ts.LanguageVariant.Standard, text);
  const start = node.getStart(file);
  scanner.setText(text, start, node.end - start);
  const found: string[] = [];
  for (let token = scanner.scan(); token !== ts.SyntaxKind.EndOfFileToken; token = scanner.scan())
    if (token === ts.SyntaxKind.SingleLineCommentTrivia || token === ts.SyntaxKind.MultiLineCommentTrivia)
      found.push(scanner.getTokenText());
  return found;
}
