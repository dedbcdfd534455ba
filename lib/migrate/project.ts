import { configurationsIn, type Configuration } from './configurations.js';
import { Constants } from './constants.js';
import { guardClassesIn, type GuardClass } from './guard-classes.js';
import { readsUser } from './guard-members.js';
import { bare, inSeconds, type Quantity } from './quantities.js';
import { propertiesOf, valueOf } from './objects.js';
import { settingsOf, type Settings } from './settings.js';
import { resolvedPath, withoutExtension, type Source } from './source.js';
import type { ts } from './typescript.js';

/** A throttler of the module. */
export interface Throttler {
  readonly limit: Quantity | undefined;
  readonly ttl: Quantity | undefined;
  readonly blockDuration: Quantity | undefined;
  /** Options that `@Throttle` inherits and a text cannot repeat, such as `getTracker`. */
  readonly inherited: readonly string[];
}

/** The constants, configurations and guards of all files of an application. */
export class Project {
  readonly constants: Constants;
  readonly configurations: readonly Configuration[];
  readonly guards: ReadonlyMap<string, GuardClass>;
  /** True if a guard is bound to all routes. */
  readonly hasGlobalGuard: boolean;
  /** True if a guard is bound by `@UseGuards`. */
  readonly hasBoundGuard: boolean;

  constructor(readonly sources: readonly Source[]) {
    this.constants = new Constants(sources);
    this.configurations = sources.flatMap((source) => configurationsIn(source, this.constants));
    const classes = sources.flatMap((source) => guardClassesIn(source));
    this.guards = new Map(classes.map((guard) => [guard.name, guard]));
    const application = sources.filter(({ isTest }) => !isTest);
    this.hasGlobalGuard = application.some((source) => this.globalGuardsIn(source).length > 0);
    this.hasBoundGuard = sources.some((source) => this.#bindsGuard(source));
    this.#rejectDifferentGuards(classes);
  }

  /** True if the application keeps a guard of its own, which extends `RateLimitGuard`. */
  get hasOwnGuard(): boolean {
    return [...this.guards.values()].some(({ fate, source }) => fate === 'extend' && !source.isTest);
  }

  /** The one guard whose overrides become options of the module. */
  get customGuard(): GuardClass | undefined {
    return [...this.guards.values()].find(({ fate, hasOptions }) => fate === 'merge' && hasOptions);
  }

  /** The options `phase` of limits, if the tracker reads the user. */
  get phase(): 'afterAuth' | undefined {
    const reads = this.customGuard?.readsUser === true;
    return reads || this.configurations.some((one) => readsUserIn(one)) ? 'afterAuth' : undefined;
  }

  /**
   * Returns the throttlers that apply to a file: those of the application, or of a test that has its own module. `undefined` if
   * they are not all known.
   */
  throttlersFor(source: Source): ReadonlyMap<string, Throttler> | undefined {
    const own = this.configurations.filter((one) => one.source === source);
    const used =
      source.isTest && own.length > 0 ? own : this.configurations.filter((one) => !one.source.isTest);
    if (used.length === 0 || used.some(({ problem }) => problem !== undefined)) return undefined;
    const found = new Map<string, Throttler>();
    for (const { options } of used) {
      for (const literal of options) {
        if (literal.list === undefined && source.ts.isObjectLiteralExpression(literal.node)) {
          const settings = settingsOf(literal.source, this.constants, literal.node);
          if (settings?.ttl !== undefined)
            found.set('default', { ...settings, ttl: inSeconds(settings.ttl), inherited: [] });
          continue;
        }
        for (const { source: where, node } of literal.throttlers) {
          const settings = settingsOf(where, this.constants, node);
          const name = settings && this.nameOf(where, settings);
          if (settings === undefined || name === undefined) return undefined;
          const inherited = ['getTracker', 'generateKey', 'skipIf', 'ignoreUserAgents'].filter((option) =>
            settings.properties.has(option),
          );
          found.set(name, { ...settings, inherited });
        }
      }
    }
    return found;
  }

  /** Returns a class of this application that stands for the guard of the throttler, by the name that a file has for it. */
  guardAt(source: Source, node: ts.Node): 'throttler' | GuardClass | undefined {
    if (source.isThrottlerName(node, 'ThrottlerGuard')) return 'throttler';
    if (!source.ts.isIdentifier(node)) return undefined;
    const imported = source.imports.find(({ local }) => local === node.text);
    const guard =
      imported?.imported === 'default'
        ? (this.defaultGuardAt(source, imported.module) ?? this.guards.get(node.text))
        : this.guards.get(imported?.imported ?? node.text);
    if (guard === undefined) return undefined;
    return imported !== undefined || guard.source === source ? guard : undefined;
  }

  /** Returns the guard that a file exports as its default. */
  defaultGuardAt(source: Source, module: string): GuardClass | undefined {
    const path = resolvedPath(source, module);
    return [...this.guards.values()].find(
      ({ source: { ts, path: own }, node: { modifiers } }) =>
        withoutExtension(own) === path &&
        modifiers?.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword) === true,
    );
  }

  /** The entries of a file that bind a guard of the throttler to all routes. */
  globalGuardsIn(source: Source): { entry: ts.ObjectLiteralExpression; guard: ts.Identifier }[] {
    const { ts } = source;
    return source.all(ts.isObjectLiteralExpression).flatMap((entry) => {
      const properties = propertiesOf(source, entry);
      const provide = properties?.get('provide');
      const token = provide && valueOf(source, provide);
      const use = properties?.get('useClass') ?? properties?.get('useExisting');
      const guard = use && valueOf(source, use);
      return token !== undefined &&
        source.textOf(token) === 'APP_GUARD' &&
        guard !== undefined &&
        ts.isIdentifier(guard) &&
        this.guardAt(source, guard) !== undefined
        ? [{ entry, guard }]
        : [];
    });
  }

  /** Returns the name of a throttler; `undefined` if it is neither a text nor a constant that is one. */
  nameOf(source: Source, { properties }: Settings): string | undefined {
    const property = properties.get('name');
    if (property === undefined) return 'default';
    const { ts } = source;
    const value = valueOf(source, property);
    const node = value && bare(source, value);
    const known = node && ts.isIdentifier(node) ? this.constants.named(source, node) : undefined;
    const literal = known === undefined ? node : bare(known.source, known.node);
    return literal !== undefined && ts.isStringLiteralLike(literal) ? literal.text : undefined;
  }

  #bindsGuard(source: Source): boolean {
    const { ts } = source;
    return source
      .all(ts.isCallExpression)
      .some(
        ({ expression, arguments: guards }) =>
          ts.isIdentifier(expression) &&
          expression.text === 'UseGuards' &&
          guards.some((guard) => this.guardAt(source, guard) !== undefined),
      );
  }

  /** Guards that count in different ways cannot all become options of one module. */
  #rejectDifferentGuards(classes: readonly GuardClass[]): void {
    const custom = classes.filter(({ fate, hasOptions }) => fate === 'merge' && hasOptions);
    const isPlainUsed = this.sources.some(
      (source) =>
        !source.isTest &&
        source.identifiers.some(
          (node) => source.isThrottlerName(node, 'ThrottlerGuard') && !isBaseClass(source, node),
        ),
    );
    if (custom.length <= 1 && !(custom.length === 1 && isPlainUsed)) return;
    for (const guard of custom) {
      guard.fate = 'hand';
      guard.reason =
        'several guards count in different ways; give the limits of each their own key, skip or phase';
    }
  }
}

function isBaseClass({ ts }: Source, node: ts.Identifier): boolean {
  return ts.isExpressionWithTypeArguments(node.parent);
}

function readsUserIn({ options }: Configuration): boolean {
  return options.some(({ source, node }) =>
    source
      .all(source.ts.isPropertyAssignment, node)
      .some(
        (property) =>
          property.name.getText(source.file) === 'getTracker' &&
          readsUser(source.textOf(property.initializer)),
      ),
  );
}
