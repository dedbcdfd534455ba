import { createHash } from 'node:crypto';
import { describeValue, quote } from '../common/describe.js';
import { ConfigurationError } from '../common/errors.js';
import { assertBoolean, assertOptionsObject } from '../common/options.js';
import type { Rule } from './rules.js';
import { assertName } from './policy-options.js';

/** The options of a rule that can be written as text. */
export type SharedRuleOptions = {
  [
    Name in keyof Omit<Rule<never>, 'id' | 'key' | 'limits'> as Exclude<
      Rule<never>[Name],
      (...args: never[]) => unknown
    > extends undefined
      ? never
      : Name
  ]?: Exclude<Rule<never>[Name], (...args: never[]) => unknown>;
};

/**
 * A rule that is shared by all processes on a store. It has the `id` of a rule of the code, whose options it replaces one by one, or
 * a new one. It has no functions: those of the code's rule stay.
 */
export interface SharedRule extends SharedRuleOptions {
  id: string;
  /** One or several limits as text, or `'unlimited'`. */
  limits?: string | readonly string[] | undefined;
  /** Built-in identities by name. */
  key?: string | readonly string[] | undefined;
  /** True to switch the rule of the code off. Default: false. */
  off?: boolean | undefined;
}

/** A shared rule as it is stored. */
export interface StoredRule {
  readonly rule: SharedRule;
  /** The digest of the rule of the code that it changes; absent for a new rule. */
  readonly changes?: string | undefined;
}

/** The rules of this process with the shared ones applied. */
export interface AppliedRules<R> {
  readonly rules: readonly R[];
  /** The ids of shared rules that do not apply, because the code's rule has changed since they were written. */
  readonly outdated: readonly string[];
}

/**
 * Returns shared rules as they are stored.
 *
 * @param rules the rules of the code
 * @throws ConfigurationError for a value that is not text, or a rule to switch off that does not exist
 */
export function storedRules(
  shared: readonly SharedRule[],
  rules: readonly { readonly id: string }[],
): StoredRule[] {
  const digests = digestsOf(rules);
  const ids = new Set<string>();
  return Array.from(shared, (rule, index) => {
    assertOptionsObject(`The shared rule at ${index}`, rule);
    assertName(`id of the shared rule at ${index}`, rule.id);
    const where = `The shared rule "${rule.id}"`;
    if (ids.has(rule.id)) throw new ConfigurationError(`There are two shared rules "${rule.id}".`);
    ids.add(rule.id);
    for (const [name, value] of Object.entries(rule)) assertStorable(where, name, value);
    if (rule.off !== undefined) assertBoolean(`${where}: "off"`, rule.off);
    const changes = digests.get(rule.id);
    if (rule.off === true && changes === undefined)
      throw new ConfigurationError(
        `${where} cannot be switched off: there is no such rule. Rules: ${[...digests.keys()].join(', ') || 'none'}.`,
      );
    return { rule, changes };
  });
}

/** Applies stored rules to the rules of the code: replaces options, switches rules off and adds new ones. */
export function applyShared<R extends { readonly id: string }>(
  rules: readonly R[],
  stored: readonly StoredRule[],
): AppliedRules<R> {
  if (stored.length === 0) return { rules, outdated: [] };
  const digests = digestsOf(rules);
  const isCurrent = ({ rule, changes }: StoredRule): boolean => digests.get(rule.id) === changes;
  const current = new Map(stored.filter(isCurrent).map(({ rule }) => [rule.id, rule]));
  const changed = rules.map((rule) => ({ ...rule, ...current.get(rule.id) }));
  const added = [...current.values()]
    .filter(({ id }) => !digests.has(id))
    .map((rule) => rule as unknown as R);
  return {
    rules: [...changed, ...added].flatMap(({ off = false, ...rule }: R & { off?: boolean }) =>
      off ? [] : [rule as unknown as R],
    ),
    outdated: stored.filter((one) => !isCurrent(one)).map(({ rule }) => rule.id),
  };
}

function digestsOf(rules: readonly { readonly id: string }[]): Map<string, string> {
  return new Map(rules.map((rule) => [rule.id, digestOf(rule)]));
}

/** Returns a digest that is equal for the same declaration in every process; functions and classes count by their source. */
function digestOf(rule: object): string {
  return createHash('sha256').update(sourceOf(rule)).digest('base64url').slice(0, 12);
}

function sourceOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sourceOf).join()}]`;
  if (!isPlain(value)) return typeof value === 'string' ? JSON.stringify(value) : String(value);
  const given = Object.entries(value).filter(([, part]) => part !== undefined);
  return `{${given
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, part]) => `${JSON.stringify(name)}:${sourceOf(part)}`)
    .join()}}`;
}

function assertStorable(where: string, option: string, value: unknown): void {
  if (Array.isArray(value)) for (const part of value) assertStorable(where, option, part);
  else if (isPlain(value)) for (const part of Object.values(value)) assertStorable(where, option, part);
  else if (!['string', 'number', 'boolean', 'undefined'].includes(typeof value))
    throw new ConfigurationError(
      `${where}: ${quote(option)} cannot be shared; got ${describeValue(value)}. ` +
        'Functions, classes and items stay in the code: share texts, numbers, booleans and lists of them.',
    );
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
