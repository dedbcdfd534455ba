import { describeValue } from '../../common/describe.js';
import { StorageError } from '../../common/errors.js';
import type { StoredSettings } from '../../core/settings-store.js';
import type { StoredRule } from '../../policies/shared-rules.js';
import type { RateLimitNetworks } from '../options/rate-limit.options.js';

/** The shared settings in the store, with their version. */
export interface SettingsRecord {
  /** 0 before anything was written. */
  readonly version: number;
  readonly rules: readonly StoredRule[];
  /** The lists that were set; absent ones are those of the code. */
  readonly networks: RateLimitNetworks;
}

export const NO_SETTINGS: SettingsRecord = { version: 0, rules: [], networks: {} };

/** @throws StorageError for a text that no {@link writeRecord} has written */
export function readRecord(stored: StoredSettings | undefined): SettingsRecord {
  if (stored === undefined) return NO_SETTINGS;
  const { rules, networks } = parsed(stored) as Partial<SettingsRecord>;
  if (
    !Array.isArray(rules) ||
    !rules.every(isStoredRule) ||
    typeof networks !== 'object' ||
    networks === null
  )
    throw unreadable(stored);
  return { version: stored.version, rules, networks };
}

/** Returns what {@link readRecord} does, or no settings for a text that cannot be read. */
export function readableRecord(stored: StoredSettings | undefined): SettingsRecord {
  try {
    return readRecord(stored);
  } catch {
    return NO_SETTINGS;
  }
}

function isStoredRule(value: unknown): value is StoredRule {
  return typeof (value as Partial<StoredRule> | null)?.rule?.id === 'string';
}

export function writeRecord({ version, rules, networks }: SettingsRecord): StoredSettings {
  return { version, text: JSON.stringify({ rules, networks }) };
}

function parsed(stored: StoredSettings): object {
  try {
    const value: unknown = JSON.parse(stored.text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // as any other text
  }
  throw unreadable(stored);
}

function unreadable({ version, text }: StoredSettings): StorageError {
  return new StorageError(
    `The shared settings of version ${version} cannot be read: got ${describeValue(text)}. Write them again with setRules.`,
  );
}
