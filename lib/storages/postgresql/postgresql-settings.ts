import type { SettingsStore, StoredSettings } from '../../core/settings-store.js';
import type { Row, Statement } from './connections.js';
import type { SchemaSql } from './sql/schema.sql.js';

/** The settings of a PostgreSQL storage: one row of a logged table. */
export class PostgreSQLSettings implements SettingsStore {
  readonly #sql: Pick<SchemaSql, 'readSettings' | 'writeSettings'>;
  readonly #key: string;
  readonly #query: (statement: Statement) => Promise<readonly Row[]>;

  constructor(
    sql: Pick<SchemaSql, 'readSettings' | 'writeSettings'>,
    key: string,
    query: (statement: Statement) => Promise<readonly Row[]>,
  ) {
    this.#sql = sql;
    this.#key = key;
    this.#query = query;
  }

  async read(): Promise<StoredSettings | undefined> {
    const [row] = await this.#query({ text: this.#sql.readSettings, values: [this.#key] });
    return row === undefined ? undefined : { version: Number(row['version']), text: String(row['text']) };
  }

  async write({ version, text }: StoredSettings): Promise<boolean> {
    const values = [this.#key, String(version), text];
    const [row] = await this.#query({ text: this.#sql.writeSettings, values });
    return row !== undefined;
  }
}
