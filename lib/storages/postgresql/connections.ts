/** A client that the application opened. */
export interface PostgreSQLClient {
  /**
   * Sends a statement with parameters `$1`, `$2`, … Resolves with the rows, or with an object that
   * has `rows`. Must not prepare a statement without values.
   */
  query(text: string, values?: unknown[]): PromiseLike<unknown>;
}

/** A row of a result. */
export type Row = Readonly<Record<string, unknown>>;

/** A statement and its parameters: text, which every driver sends unchanged. */
export interface Statement {
  readonly text: string;
  readonly values?: readonly (string | null)[];
}

/** Runs statements, each on any of the connections. */
export interface Connections {
  /**
   * @param late aborts at the timeout of the call; the statement is not sent afterwards
   * @param timeout maximum ms until the result
   */
  query(statement: Statement, late: AbortSignal, timeout: number): Promise<readonly Row[]>;
  /** Opens new connections. Closes the present ones as soon as they are idle. */
  reconnect(): void;
  close(): Promise<void>;
}

/** Returns the connections of a given client, which is never closed. */
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

/** Returns the SQLSTATE of an error of the server, the code of another error, or ''. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
}
