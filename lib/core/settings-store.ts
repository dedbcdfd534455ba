/** A text that all processes on a store share. */
export interface StoredSettings {
  /** Counts the changes: 1 for the first. */
  readonly version: number;
  readonly text: string;
}

/**
 * Stores one text that all processes share, changed by compare-and-set. It has no expiry, and the storage's `reset` leaves it.
 *
 * Both methods reject with a `StorageError` when the store fails.
 */
export interface SettingsStore {
  /** Returns the stored text; `undefined` if none was ever written. */
  read(): Promise<StoredSettings | undefined>;
  /**
   * Writes a text if the stored one has the version before it; 0 is the version of a text that was never written. Returns false if
   * another process has changed it.
   */
  write(settings: StoredSettings): Promise<boolean>;
}

/** Returns the name of the text on a server. No identity's key begins with it. */
export function settingsKey(keyPrefix: string): string {
  return `${keyPrefix}:settings`;
}
