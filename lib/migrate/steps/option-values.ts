import { readsKnownDetails, withDecision } from '../guard-members.js';
import type { Project } from '../project.js';
import { bare } from '../quantities.js';
import type { Source } from '../source.js';
import type { ts } from '../typescript.js';

/** Converts a function `getTracker`. */
export function trackerCode(source: Source, value: ts.Expression, project: Project): string {
  const { ts } = source;
  const node = bare(source, value);
  const request = 'context.switchToHttp().getRequest()';
  if (!ts.isArrowFunction(node)) {
    const isName = ts.isIdentifier(node) || ts.isPropertyAccessExpression(node);
    const called = isName ? source.textOf(node) : `(${source.textOf(node)})`;
    const known = ts.isIdentifier(node) ? project.constants.functions.get(node.text)?.node : undefined;
    const takesContext = known === undefined || (known as ts.FunctionLikeDeclaration).parameters.length > 1;
    return `(context) => ${called}(${request}${takesContext ? ', context' : ''})`;
  }
  const [first, second] = node.parameters.map(({ name }) => name.getText(source.file));
  const body = source.textOf(node.body);
  const isAsync = node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword) === true;
  const asyncText = isAsync ? 'async ' : '';
  if (first === undefined) return `${asyncText}() => ${body}`;
  const isUser = /^req\w*\.user\??\.(id|userId|sub|_id)(?:(?:\?\?|\|\|)req\w*\.ip)?$/.test(
    body.replace(/\s+/g, ''),
  );
  if (isUser) return typedLiteral(source, value, 'user');
  const start = `${asyncText}(${second ?? 'context'}) => { const ${first} = ${request};`;
  return ts.isBlock(node.body) ? `${start}${body.slice(1)}` : `${start} return ${body}; }`;
}

/** Converts `ignoreUserAgents` to the option `skip`. */
export function userAgentsCode(source: Source, value: ts.Expression): string {
  const requestOf = source.add('nestjs-limits', 'requestOf');
  return `skip: (context) => ${source.textOf(value)}.some((agent) => agent.test(String(${requestOf}(context)?.headers?.['user-agent'])))`;
}

/** Converts `errorMessage`: a text stays, and a function gets the decision instead of the details. */
export function errorMessageCode(source: Source, value: ts.Expression): string | undefined {
  const { ts } = source;
  const node = bare(source, value);
  if (!ts.isArrowFunction(node))
    return ts.isIdentifier(node) || ts.isFunctionExpression(node) ? undefined : source.textOf(value);
  const [context, detail] = node.parameters;
  if (context === undefined) return source.textOf(value);
  if (!readsKnownDetails(source, detail, node.body)) return undefined;
  const body = withDecision(source, node.body, detail?.name.getText(source.file));
  return `(decision, ${context.name.getText(source.file)}) => ${body}`;
}

/** Writes a text that TypeScript keeps as it is, and does not take for any text. */
export function typedLiteral(source: Source, node: ts.Node, text: string): string {
  return `${source.literal(text)}${isTyped(source, node) ? '' : ' as const'}`;
}

/** Returns true for the argument of a call, and for what a variable or function with a type holds. */
function isTyped(source: Source, node: ts.Node): boolean {
  const { ts } = source;
  if (ts.isCallExpression(node)) return true;
  if (ts.isVariableDeclaration(node) || ts.isFunctionLike(node))
    if (node.type !== undefined || !(ts.isArrowFunction(node) || ts.isFunctionExpression(node)))
      return node.type !== undefined;
  return !ts.isSourceFile(node) && isTyped(source, node.parent);
}
