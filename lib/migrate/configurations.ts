import { bare, TEMPLATE } from './quantities.js';
import type { Constants } from './constants.js';
import { propertiesOf, returnedBy, valueOf, type Located } from './objects.js';
import type { Source } from './source.js';
import type { ts } from './typescript.js';

/** The options of `ThrottlerModule` in one place: an object, or a list of throttlers. */
export interface OptionsLiteral extends Located<ts.ObjectLiteralExpression | ts.ArrayLiteralExpression> {
  /** The list of throttlers; `undefined` for the options of version 4 and before, which are one throttler. */
  readonly list: Located<ts.ArrayLiteralExpression> | undefined;
  readonly throttlers: readonly Located<ts.ObjectLiteralExpression>[];
  /** The options of an object. */
  readonly properties: ReadonlyMap<string, ts.ObjectLiteralElementLike>;
}

/** One call of `ThrottlerModule.forRoot` or `forRootAsync`, or options that are made in another place. */
export interface Configuration {
  readonly source: Source;
  /** Where a comment goes. */
  readonly node: ts.Node;
  readonly call: ts.CallExpression | undefined;
  readonly options: readonly OptionsLiteral[];
  /** Why the options cannot be read. */
  readonly problem: string | undefined;
}

const UNREADABLE = `the options are not written as literals; write the limits as text, ${TEMPLATE}, in the options of RateLimitModule`;

/** Finds the configurations of the throttler in a file. */
export function configurationsIn(source: Source, constants: Constants): Configuration[] {
  const { ts } = source;
  const calls = source
    .all(ts.isCallExpression)
    .filter(
      ({ expression }) =>
        ts.isPropertyAccessExpression(expression) &&
        source.isThrottlerName(expression.expression, 'ThrottlerModule') &&
        ['forRoot', 'forRootAsync'].includes(expression.name.text),
    );
  const fromCalls = calls.map((call): Configuration => {
    const isAsync = (call.expression as ts.PropertyAccessExpression).name.text === 'forRootAsync';
    const [argument] = call.arguments;
    const reader = new OptionsReader(constants);
    if (argument !== undefined && !isAsync) reader.read(source, argument);
    else if (argument !== undefined) readAsync(source, argument, reader);
    return { source, node: call, call, options: reader.options, problem: reader.problem };
  });
  return [...fromCalls, ...typedOptions(source, constants)];
}

function readAsync(source: Source, argument: ts.Expression, reader: OptionsReader): void {
  const { ts } = source;
  const node = bare(source, argument);
  const properties = ts.isObjectLiteralExpression(node) ? propertiesOf(source, node) : undefined;
  const factory = properties?.get('useFactory');
  if (factory !== undefined) reader.readFunction(source, factory);
  else if (properties?.has('useClass') !== true && properties?.has('useExisting') !== true)
    reader.problem = UNREADABLE;
}

/** Options that are declared as such: by a factory class, a function or a constant. */
function typedOptions(source: Source, constants: Constants): Configuration[] {
  const { ts } = source;
  const isOptions = (type: ts.TypeNode | undefined): boolean =>
    type !== undefined &&
    new RegExp(`\\b${source.localName('ThrottlerModuleOptions') ?? '-'}\\b`).test(type.getText(source.file));
  const read = (node: ts.Node, run: (reader: OptionsReader) => void): Configuration[] => {
    const reader = new OptionsReader(constants);
    run(reader);
    return [{ source, node, call: undefined, options: reader.options, problem: reader.problem }];
  };
  return [
    ...source
      .all(ts.isMethodDeclaration)
      .flatMap((node) =>
        node.name.getText(source.file) === 'createThrottlerOptions' && source.usesThrottler
          ? read(node, (reader) => reader.readFunction(source, node))
          : [],
      ),
    ...source
      .all(ts.isFunctionDeclaration)
      .flatMap((node) =>
        isOptions(node.type) ? read(node, (reader) => reader.readFunction(source, node)) : [],
      ),
    ...source.all(ts.isVariableDeclaration).flatMap((node) => {
      const { initializer } = node;
      if (initializer === undefined) return [];
      if (ts.isArrowFunction(initializer) && isOptions(initializer.type))
        return read(node, (reader) => reader.readFunction(source, initializer));
      return isOptions(node.type) ? read(node, (reader) => reader.read(source, initializer)) : [];
    }),
  ];
}

/** Follows an expression to the literals that it can be. */
class OptionsReader {
  readonly options: OptionsLiteral[] = [];
  problem: string | undefined;

  constructor(private readonly constants: Constants) {}

  read(source: Source, expression: ts.Expression): void {
    const { ts } = source;
    const node = bare(source, expression);
    if (ts.isConditionalExpression(node)) {
      this.read(source, node.whenTrue);
      this.read(source, node.whenFalse);
    } else if (ts.isAwaitExpression(node)) {
      this.read(source, node.expression);
    } else if (ts.isArrayLiteralExpression(node)) {
      this.#add(source, node, { source, node }, new Map());
    } else if (ts.isObjectLiteralExpression(node)) {
      this.#readObject(source, node);
    } else {
      const found = this.#follow(source, node);
      if (found === undefined) this.problem = UNREADABLE;
      else if (ts.isFunctionLike(found.node)) this.readFunction(found.source, found.node);
      else this.read(found.source, found.node as ts.Expression);
    }
  }

  /** Reads what a function, or the property that holds one, returns. */
  readFunction(source: Source, node: ts.Node): void {
    const { ts } = source;
    let fn: ts.Node | undefined = ts.isPropertyAssignment(node) ? bare(source, node.initializer) : node;
    if (ts.isIdentifier(fn)) {
      const known = this.constants.functions.get(fn.text);
      if (known !== undefined) {
        this.readFunction(known.source, known.node);
        return;
      }
      fn = undefined;
    }
    const { body } = (fn ?? {}) as { body?: ts.ConciseBody };
    if (body === undefined) this.problem = UNREADABLE;
    else if (!ts.isBlock(body)) this.read(source, body);
    else for (const expression of returnedBy(source, body)) this.read(source, expression);
  }

  #readObject(source: Source, node: ts.ObjectLiteralExpression): void {
    const properties = propertiesOf(source, node);
    const throttlers = properties?.get('throttlers');
    const value = throttlers && valueOf(source, throttlers);
    const list = value && this.#listOf(source, value);
    if (properties !== undefined && list !== undefined) this.#add(source, node, list, properties);
    else if (properties?.has('ttl') === true && properties.has('limit'))
      this.options.push({ source, node, list: undefined, throttlers: [], properties });
    else this.problem = UNREADABLE;
  }

  #listOf(source: Source, expression: ts.Expression): Located<ts.ArrayLiteralExpression> | undefined {
    const { ts } = source;
    const node = bare(source, expression);
    if (ts.isArrayLiteralExpression(node)) return { source, node };
    const found = this.#follow(source, node);
    return found === undefined || ts.isFunctionLike(found.node)
      ? undefined
      : this.#listOf(found.source, found.node as ts.Expression);
  }

  #add(
    source: Source,
    node: OptionsLiteral['node'],
    list: Located<ts.ArrayLiteralExpression>,
    properties: OptionsLiteral['properties'],
  ): void {
    if (this.options.some((known) => known.node === node)) return;
    const throttlers = list.node.elements.flatMap((element) => this.#elementOf(list.source, element));
    this.options.push({ source, node, list, throttlers, properties });
  }

  #elementOf(source: Source, element: ts.Expression): Located<ts.ObjectLiteralExpression>[] {
    const { ts } = source;
    if (ts.isSpreadElement(element)) {
      const spread = bare(source, element.expression);
      const branches = ts.isConditionalExpression(spread) ? [spread.whenTrue, spread.whenFalse] : [spread];
      const lists = branches.map((branch) => bare(source, branch));
      if (lists.every(ts.isArrayLiteralExpression))
        return lists.flatMap(({ elements }) => elements.flatMap((one) => this.#elementOf(source, one)));
    }
    const node = bare(source, element);
    const known = this.constants.objectAt(source, node);
    // A constant that something else reads keeps its properties.
    if (known !== undefined && this.constants.usesOf(source, node) <= 1) return [known];
    this.problem = UNREADABLE;
    return [];
  }

  /** Follows a name to its constant or function, in this file or another, and a call to what is called. */
  #follow(source: Source, node: ts.Expression): Located<ts.Node> | undefined {
    const { ts } = source;
    if (ts.isIdentifier(node)) {
      // Options that are completed by statements are not all in the literal.
      if (new RegExp(`\\b${node.text}\\.\\w+\\s*=[^=]`).test(source.text)) return undefined;
      return this.constants.named(source, node);
    }
    if (!ts.isCallExpression(node)) return undefined;
    const { expression } = node;
    if (ts.isIdentifier(expression)) return this.constants.functions.get(expression.text);
    if (
      ts.isPropertyAccessExpression(expression) &&
      expression.expression.kind === ts.SyntaxKind.ThisKeyword
    ) {
      const method = source
        .all(ts.isMethodDeclaration)
        .find(({ name }) => name.getText(source.file) === expression.name.text);
      return method && { source, node: method };
    }
    return undefined;
  }
}
