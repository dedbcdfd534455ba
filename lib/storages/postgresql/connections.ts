/** A client that the application has opened. */
export interface PostgreSQLClient {
  /**
   * Sends a statement with parameters `$1`, `$2`, …, and resolves with the rows, or with an object that has `rows`. Without
   * values, it must not prepare the statement.
   */
  query(text: string, values?: unknown[]): PromiseLike<unknown>;
}

/** A row of an answer. */
export type Row = Readonly<Record<string, unknown>>;

/** A statement with its parameters: text, which every driver passes on as it is. */
export interface Statement {
  readonly text: string;
  readonly values?: readonly (string | null)[];
}

/** Runs statements, each on any connection. */
export interface Connections {
  /**
   * @param late aborts at the timeout of the call: a statement is not sent after that
   * @param timeout ms that the answer may take
   */
  query(statement: Statement, late: AbortSignal, timeout: number): Promise<readonly Row[]>;
  /** Opens new connections. Those that are busy are closed once they are not. */
  reconnect(): void;
  close(): Promise<void>;
}

/** The connections of a given client, which is never closed. */
export function givenConnections(client: PostgreSQLClient): Connections {
  return {
    async query({ text, values }) {
      const result = await (values === undefined ? client.query(text) : client.query(text, [...values]));
      return (Array.isArray(result) ? result : (result as { rows: Row[] }).rows) as Row[];
    },
    reconnect: () => undefined,
    close: async () => undefined,
  };
}

/** Returns the SQLSTATE of an error of the server; of other errors their code, or ''. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
}
