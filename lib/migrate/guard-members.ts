import { returnedBy } from './objects.js';
import { bare } from './quantities.js';
import type { Source } from './source.js';
import type { ts } from './typescript.js';

/** A method that is written in the class, and not only declared. */
export type Method = ts.MethodDeclaration & { readonly body: ts.Block };

/** An overridden method that becomes an option of the module. */
export interface GuardMember {
  readonly node: Method;
  readonly option: 'key' | 'clientIp' | 'skip' | 'errorFactory' | 'errorMessage';
}

/** What takes the place of a member: the text of an option, or a function; else the reason why nothing does. */
export interface Conversion {
  readonly inline?: string;
  readonly member?: GuardMember;
  readonly reason?: string;
}

/** Converts a member of a guard; `undefined` if nothing has to take its place. */
export function convertMember(source: Source, member: ts.ClassElement): Conversion | undefined {
  const name = member.name?.getText(source.file) ?? 'static';
  if (!isMethod(source, member)) return { reason: `it has the member ${name}` };
  switch (name) {
    case 'getRequestResponse':
      return undefined;
    case 'getTracker':
      if (isAddress(source, member)) return undefined;
      return (
        trackerOf(source, member) ?? {
          reason: 'getTracker uses other members of the class: write it as the option "key"',
        }
      );
    case 'shouldSkip':
    case 'canActivate':
      return isSkip(source, member)
        ? { member: { node: member, option: 'skip' } }
        : { reason: `${name} does more than to skip requests: see "skip", or extend RateLimitGuard` };
    case 'throwThrottlingException':
      return (
        refusalOf(source, member) ?? {
          reason:
            'throwThrottlingException has side effects or reads the counts: see "errorFactory" and "onRefused"',
        }
      );
    case 'getErrorMessage':
      return messageOf(source, member) ?? { reason: 'getErrorMessage reads the counts: see "errorMessage"' };
    case 'handleRequest':
    case 'generateKey':
      return { reason: `it overrides ${name}: see "key", "scope", "cost" and "skip"` };
    default:
      return { reason: `it has the method ${name}` };
  }
}

/** Returns true for a method with a body. */
export function isMethod({ ts }: Source, member: ts.ClassElement): member is Method {
  return ts.isMethodDeclaration(member) && member.body !== undefined;
}

/** Returns true for a tracker that reads the authenticated user. */
export function tracksUser(source: Source, method: Method | undefined): boolean {
  return method !== undefined && !isAddress(source, method) && readsUser(source.textOf(method.body));
}

/** Returns true for `return req.ip`, also with `req.ips`: the address that the adapter resolves. */
function isAddress(source: Source, method: Method): boolean {
  const code = compact(source, method);
  const rest = code.replace(
    /super\.getTracker\(\w+\)|Promise\.resolve|Array\.isArray|return|req(?:uest)?\??\.ips?|\??\.length|['"`](?:unknown|127\.0\.0\.1|anonymous)?['"`]/g,
    '',
  );
  return /\.ip|getTracker/.test(code) && /^[{}()[\]?:;|&.>0]*$/.test(rest);
}

function compact(source: Source, method: Method): string {
  return source
    .textOf(method.body)
    .replace(/\/\/.*$/gm, '')
    .replace(/\/\*.*?\*\//gs, '')
    .replace(/\bas string\b|!/g, '')
    .replace(/\s+/g, '');
}

/** Built-in identities for the trackers that applications write most. */
function trackerOf(source: Source, method: Method): Conversion | undefined {
  const code = compact(source, method);
  const [, id] =
    /^\{return`?(?:user[-:_]\$\{)?req\.user\??\.(id|userId|sub|_id)\}?`?(?:\?\?|\|\|)(?:super\.getTracker\(req\)|req\.ip);?\}$/.exec(
      code,
    ) ??
    /^\{returnreq\.user\?(?:req\.user\??\.)(id|userId|sub|_id):req\.ip;?\}$/.exec(code) ??
    [];
  if (id !== undefined) return { inline: "key: 'user'" };
  const [, header] =
    /^\{returnreq\.headers\??\.?\[['"]((?!x-forwarded-for|x-real-ip|cf-connecting-ip|true-client-ip)[\w-]+)['"]\](?:(?:\?\?|\|\|)req\.ip)?;?\}$/i.exec(
      code,
    ) ?? [];
  if (header !== undefined) return { inline: `key: 'header:${header.toLowerCase()}'` };
  if (usesThis(source, method, ['getTracker'])) return undefined;
  return { member: { node: method, option: isProxyAddress(code) ? 'clientIp' : 'key' } };
}

/** Returns true for a tracker that finds the client's address in the fields of a proxy. */
function isProxyAddress(code: string): boolean {
  return (
    /x-forwarded-for|x-real-ip|cf-connecting-ip|true-client-ip/i.test(code) &&
    !/user|tenant|\$\{|email|body|api-?key|authorization|fingerprint/i.test(code)
  );
}

/** Returns true if a method only decides whether a request is counted. */
function isSkip(source: Source, method: Method): boolean {
  const { ts } = source;
  const name = method.name.getText(source.file);
  if (usesThis(source, method, [name])) return false;
  if (source.all(ts.isTryStatement, method.body).length > 0) return false;
  const returned = returnedBy(source, method.body).map((node) => source.textOf(unawaited(source, node)));
  return returned.every(
    (text) => name === 'shouldSkip' || text === 'true' || /^super\.canActivate\(\w+\)$/.test(text),
  );
}

function unawaited(source: Source, expression: ts.Expression): ts.Expression {
  const node = bare(source, expression);
  return source.ts.isAwaitExpression(node) ? bare(source, node.expression) : node;
}

/** Returns true if a method uses `this`, or `super` for more than the listed methods. */
function usesThis(source: Source, method: Method, allowed: readonly string[]): boolean {
  const { ts } = source;
  const isToken = (node: ts.Node): node is ts.Node =>
    node.kind === ts.SyntaxKind.ThisKeyword || node.kind === ts.SyntaxKind.SuperKeyword;
  return source
    .all(isToken, method)
    .some(
      (node) =>
        node.kind === ts.SyntaxKind.ThisKeyword ||
        !(ts.isPropertyAccessExpression(node.parent) && allowed.includes(node.parent.name.text)),
    );
}

/** The properties of the throttler's details that a decision has too. */
const DETAILS: ReadonlyMap<string, string> = new Map([
  ['limit', 'decision.binding.limit.amount'],
  ['ttl', 'decision.binding.limit.period'],
  ['timeToBlockExpire', 'Math.ceil((decision.retryAfter ?? 0) / 1000)'],
  ['timeToExpire', 'Math.ceil((decision.retryAfter ?? 0) / 1000)'],
]);

/** Returns true if a function reads no other details than those that a decision has. */
export function readsKnownDetails(
  source: Source,
  parameter: ts.ParameterDeclaration | undefined,
  body: ts.Node,
): boolean {
  const { ts } = source;
  if (parameter === undefined) return true;
  if (!ts.isIdentifier(parameter.name)) return false;
  const { text } = parameter.name;
  return source
    .all(ts.isIdentifier, body)
    .filter((node) => node.text === text)
    .every(({ parent }) => ts.isPropertyAccessExpression(parent) && DETAILS.has(parent.name.text));
}

function refusalOf(source: Source, method: Method): Conversion | undefined {
  const { ts } = source;
  const { statements } = method.body;
  const last = statements.at(-1);
  if (last === undefined || !ts.isThrowStatement(last) || usesThis(source, method, [])) return undefined;
  if (!statements.slice(0, -1).every(ts.isVariableStatement)) return undefined;
  if (!readsKnownDetails(source, method.parameters[1], method.body)) return undefined;
  const { expression } = last;
  if (ts.isNewExpression(expression) && source.isThrottlerName(expression.expression, 'ThrottlerException')) {
    const [message] = expression.arguments ?? [];
    if (statements.length > 1) return undefined;
    if (message === undefined) return { inline: '' };
    return ts.isStringLiteralLike(message)
      ? { inline: `errorMessage: ${source.textOf(message)}` }
      : undefined;
  }
  return { member: { node: method, option: 'errorFactory' } };
}

function messageOf(source: Source, method: Method): Conversion | undefined {
  const { ts } = source;
  if (usesThis(source, method, [])) return undefined;
  const [text] = returnedBy(source, method.body).map((node) => bare(source, node));
  if (
    text !== undefined &&
    ts.isStringLiteralLike(text) &&
    method.body.statements.every(ts.isReturnStatement)
  )
    return { inline: `errorMessage: ${source.textOf(text)}` };
  return readsKnownDetails(source, method.parameters[1], method.body)
    ? { member: { node: method, option: 'errorMessage' } }
    : undefined;
}

/** Returns true for the code of a tracker that reads the authenticated user. */
export function readsUser(code: string): boolean {
  return /\.user\b|\[['"]user['"]\]|\buser\b\s*[?:}=,]/.test(code);
}

/** Returns code in which the details of the throttler are those of a decision. */
export function withDecision(source: Source, node: ts.Node, detail: string | undefined): string {
  const text = source.textOf(node);
  return detail === undefined
    ? text
    : text.replaceAll(
        new RegExp(`\\b${detail}\\??\\.(\\w+)`, 'g'),
        (whole, name: string) => DETAILS.get(name) ?? whole,
      );
}
