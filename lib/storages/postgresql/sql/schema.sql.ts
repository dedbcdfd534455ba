import { FUNCTIONS, VERSION } from './functions.sql.js';

/** The SQL of one schema, with all names filled in. */
export interface SchemaSql {
  /** The quoted name. */
  readonly schema: string;
  /** Decides: step, keys, ids, limits, hits, clock, lock wait in ms. A row with `answer`. */
  readonly decide: string;
  /** Peeks: keys, ids, limits, hits, clock. A row with `answer`. */
  readonly peek: string;
  /** Reports what exists; a row with `installed` and `unlogged`. */
  readonly look: string;
  /** Creates what is missing, atomically. Several processes may run it concurrently. */
  readonly install: string;
  /** Deletes up to $1 expired rows that are not locked. */
  readonly sweep: string;
  /** Deletes up to $3 rows with keys from $1 to $2; a row with `count`. */
  readonly reset: string;
  /**
   * Removes the cells of $3 (digests) from up to $4 rows with keys after $1 and before $2; a row with
   * `last`, the last of these keys, or null at the end.
   */
  readonly removeLimits: string;
  /** Reads the settings of a key ($1); a row with `version` and `text`, or none. */
  readonly readSettings: string;
  /** Writes the settings of a key ($1) with a version ($2) and a text ($3), if the stored version is the one before; else no row. */
  readonly writeSettings: string;
  /** Updates no row. */
  readonly probe: string;
  /** Makes unlogged tables logged. */
  readonly makeDurable: string;
  /** Lets a role (quoted) create and use the tables and functions. */
  grant(role: string): string;
}

type TableKind = 'UNLOGGED ' | '';

const IDENTITIES = (kind: TableKind): string => `
    CREATE ${kind}TABLE @schema.rate_limits (
      key text COLLATE "C" PRIMARY KEY,
      cells jsonb NOT NULL, -- by digest of a limit's id (with "!": its block): [expiry in epoch ms, ...state]
      expires_at timestamptz NOT NULL
    ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
    CREATE INDEX rate_limits_expires_at ON @schema.rate_limits (expires_at);`;

const LOG = (kind: TableKind): string => `
    CREATE ${kind}TABLE @schema.rate_limit_log ( -- the hits of moving windows, and slots
      key text COLLATE "C",
      id text COLLATE "C", -- digest of the limit's id
      at bigint,
      total bigint NOT NULL, -- units up to and including this entry
      PRIMARY KEY (key, id, at)
    ) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);`;

const SETTINGS = `
    CREATE TABLE @schema.rate_limit_settings ( -- logged, whatever the counts are
      key text COLLATE "C" PRIMARY KEY,
      version bigint NOT NULL,
      text text NOT NULL
    );`;

/**
 * Checks before it creates: `IF NOT EXISTS` needs the right to create, even if everything exists.
 */
const INSTALL = (kind: TableKind): string => `
DO $install$ BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('nestjs-limits'));
  IF to_regnamespace('@schema') IS NULL THEN
    CREATE SCHEMA @schema;
  END IF;
  IF to_regclass('@schema.rate_limits') IS NULL THEN${IDENTITIES(kind)}
  END IF;
  IF to_regclass('@schema.rate_limit_log') IS NULL THEN${LOG(kind)}
  END IF;
  IF to_regclass('@schema.rate_limit_settings') IS NULL THEN${SETTINGS}
  END IF;
  IF to_regproc('@decide') IS NULL THEN${FUNCTIONS.join('')}
  END IF;
END $install$`;

const SWEEP = `
WITH gone AS (
  DELETE FROM @schema.rate_limits WHERE key = ANY(ARRAY(
    SELECT key FROM @schema.rate_limits WHERE expires_at < clock_timestamp() ORDER BY expires_at LIMIT $1::text::int
    FOR UPDATE SKIP LOCKED)) RETURNING key),
logs AS (DELETE FROM @schema.rate_limit_log h USING gone WHERE h.key = gone.key)
SELECT count(*)::int AS count FROM gone`;

const RESET = `
WITH gone AS (
  DELETE FROM @schema.rate_limits WHERE key = ANY(ARRAY(
    SELECT key FROM @schema.rate_limits WHERE key >= $1::text AND key < $2::text ORDER BY key LIMIT $3::text::int
    FOR UPDATE)) RETURNING key),
logs AS (DELETE FROM @schema.rate_limit_log h USING gone WHERE h.key = gone.key)
SELECT count(*)::int AS count FROM gone`;

const REMOVE_LIMITS = `
WITH page AS MATERIALIZED (
  SELECT key FROM @schema.rate_limits WHERE key > $1::text AND key < $2::text ORDER BY key LIMIT $4::text::int),
changed AS (
  UPDATE @schema.rate_limits SET cells = cells - $3::text::text[] WHERE key = ANY(ARRAY(
    SELECT r.key FROM @schema.rate_limits r JOIN page USING (key) WHERE jsonb_exists_any(r.cells, $3::text::text[]) ORDER BY r.key
    FOR UPDATE OF r)) RETURNING key),
logs AS (DELETE FROM @schema.rate_limit_log h USING changed WHERE h.key = changed.key AND h.id = ANY($3::text::text[]))
SELECT max(key) AS last FROM page`;

const LOOK = `
SELECT to_regproc('@decide') IS NOT NULL AND count(*) = 3 AS installed, count(*) FILTER (WHERE relpersistence = 'u') > 0 AS unlogged
FROM pg_class WHERE oid IN
  (to_regclass('@schema.rate_limits'), to_regclass('@schema.rate_limit_log'), to_regclass('@schema.rate_limit_settings'))`;

const READ_SETTINGS = 'SELECT version, text FROM @schema.rate_limit_settings WHERE key = $1::text';

/** The first version is inserted; a later one updates the row of the version before. */
const WRITE_SETTINGS = `
INSERT INTO @schema.rate_limit_settings AS stored (key, version, text)
SELECT $1::text, $2::text::bigint, $3::text
WHERE $2::text::bigint = 1 OR EXISTS (SELECT FROM @schema.rate_limit_settings WHERE key = $1::text)
ON CONFLICT (key) DO UPDATE SET version = excluded.version, text = excluded.text WHERE stored.version = excluded.version - 1
RETURNING true AS written`;

/**
 * The common arguments of both functions. Parameters are text, which every driver sends unchanged.
 */
const ARGUMENTS = (place: number): string =>
  ['text[]', 'text[]', 'bigint[]', 'bigint[]', 'bigint']
    .map((type, index) => `$${place + index}::text::${type}`)
    .join(', ');

/** Fills in the names, quoted as identifiers; within a string literal, also escaped as text. */
export function schemaSql(schema: string, durable: boolean): SchemaSql {
  const quoted = `"${schema.replaceAll('"', '""')}"`;
  const names: Readonly<Record<string, string>> = {
    schema: quoted,
    decide: `${quoted}.decide_${VERSION}`,
    peek: `${quoted}.peek_${VERSION}`,
  };
  const fill = (sql: string): string =>
    sql.trim().replace(/('?)@(schema|decide|peek)\b/g, (_match, quote: string, name: string) => {
      const filled = names[name] ?? '';
      return quote + (quote === '' ? filled : filled.replaceAll("'", "''"));
    });
  return {
    schema: quoted,
    decide: fill(`SELECT @decide($1::text, ${ARGUMENTS(2)}, $7::text::int) AS answer`),
    peek: fill(`SELECT @peek(${ARGUMENTS(1)}) AS answer`),
    look: fill(LOOK),
    install: fill(INSTALL(durable ? '' : 'UNLOGGED ')),
    sweep: fill(SWEEP),
    reset: fill(RESET),
    removeLimits: fill(REMOVE_LIMITS),
    readSettings: fill(READ_SETTINGS),
    writeSettings: fill(WRITE_SETTINGS),
    probe: fill("UPDATE @schema.rate_limits SET cells = cells WHERE key = ''"),
    makeDurable: fill(
      'ALTER TABLE @schema.rate_limits SET LOGGED; ALTER TABLE @schema.rate_limit_log SET LOGGED;',
    ),
    grant: (role) =>
      fill(
        `CREATE SCHEMA IF NOT EXISTS @schema; GRANT USAGE, CREATE ON SCHEMA @schema TO ${role}; ` +
          `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA @schema TO ${role}; ` +
          `GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA @schema TO ${role};`,
      ),
  };
}
