import { messageOf } from '../../common/describe.js';
import { StorageError } from '../../common/errors.js';
import { codeOf, type Row, type Statement } from './connections.js';
import type { SchemaSql } from './sql/schema.sql.js';

/** Sends a statement. */
export type Query = (statement: Statement) => Promise<readonly Row[]>;

const INSUFFICIENT_PRIVILEGE = '42501';
/** A function, a table or the schema does not exist: something has dropped it. */
const UNDEFINED = /^(?:42883|42P01|3F000)$/;

/** The tables and functions of a storage. The first process creates them. */
export class Schema {
  #ready: Promise<void> | undefined;

  constructor(
    private readonly sql: SchemaSql,
    private readonly durable: boolean,
  ) {}

  /** Resolves once everything exists. The next call tries again after a failure. */
  ready(query: Query): Promise<void> {
    this.#ready ??= this.#provide(query).catch((error: unknown) => {
      this.#ready = undefined;
      throw error;
    });
    return this.#ready;
  }

  /** Runs a call that needs the tables and functions. Creates them first if they do not exist. */
  async use<T>(query: Query, call: () => Promise<T>): Promise<T> {
    try {
      await this.ready(query);
      return await call();
    } catch (error) {
      if (codeOf(error) === INSUFFICIENT_PRIVILEGE) throw await this.#missingRights(query, error);
      if (!UNDEFINED.test(codeOf(error))) throw error;
      this.#ready = undefined;
      await this.ready(query);
      return call();
    }
  }

  async #provide(query: Query): Promise<void> {
    const [found] = await query({ text: this.sql.look, values: [] });
    if (found?.['installed'] !== true) await query({ text: this.sql.install });
    else if (this.durable && found['unlogged'] === true) {
      throw new StorageError(
        `The tables of the schema ${this.sql.schema} are not logged, so a crash empties them, but "durable" is true. ` +
          `Run: ${this.sql.makeDurable}`,
      );
    }
  }

  async #missingRights(query: Query, cause: unknown): Promise<StorageError> {
    const [row] = await query({ text: 'SELECT quote_ident(current_user) AS role', values: [] });
    const role = String(row?.['role']);
    return new StorageError(
      `The role ${role} may not create or use the tables and functions of the limits (${messageOf(cause)}). ` +
        `Run as the owner of the database: ${this.sql.grant(role)}`,
      { cause },
    );
  }
}
