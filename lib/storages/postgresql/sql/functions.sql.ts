import { createHash } from 'node:crypto';
import { ANSWER, LOAD, NUMBERS_PER_HIT, NUMBERS_PER_LIMIT, ofStrategy, VARIABLES } from './pieces.sql.js';
import { BLOCK, CONSUME, REMOVE, SETTLE } from './steps.sql.js';

/** Maximum ms until `expires_at`: a timestamp cannot hold the longest periods. */
const MAX_EXPIRY_MS = 3_000_000_000_000;

/**
 * Locks the row of each key in the given order. All callers sort in the same way, so they do not deadlock.
 */
const LOCK = `
  FOR place IN 1 .. cardinality(keys) LOOP
    LOOP
      SELECT r.cells, r.expires_at INTO cell, moment FROM @schema.rate_limits r WHERE r.key = keys[place] FOR NO KEY UPDATE;
      EXIT WHEN FOUND;
      cell := '{}';
      moment := '-infinity';
      INSERT INTO @schema.rate_limits VALUES (keys[place], '{}', clock_timestamp()) ON CONFLICT DO NOTHING;
      EXIT WHEN FOUND;
    END LOOP;
    stored[place] := cell;
    kept[place] := moment;
    ends[place] := 0;
  END LOOP;`;

/** Reads the clock after locking, so that the time of a row never goes back. */
const NOW = `
  moment := clock_timestamp();
  t := coalesce(clock, floor(extract(epoch FROM moment) * 1000)::bigint);`;

/**
 * Returns only the time if it is outside of the calendar windows that the caller knows. Nothing is
 * counted then, and the caller calls again with the windows near this time.
 */
const CHECK_WINDOWS = `
  FOR number IN 1 .. cardinality(ids) LOOP
    bounds := limits[number * ${NUMBERS_PER_LIMIT}];
    IF bounds > 0 AND (t < limits[bounds] OR t >= limits[bounds + 3]) THEN
      RETURN '[' || t || ']';
    END IF;
  END LOOP;`;

/**
 * Writes the changed rows. Most updates leave the indexed `expires_at` alone, since it is set later
 * than needed. An update that does change it also drops expired cells.
 */
const WRITE = `
  FOR place IN 1 .. cardinality(keys) LOOP
    CONTINUE WHEN ends[place] = 0 AND stored[place] <> '{}';
    moved := moment + least(ends[place] - t, ${MAX_EXPIRY_MS}) * interval '1 ms';
    IF kept[place] >= moved AND stored[place] <> '{}' THEN
      UPDATE @schema.rate_limits r SET cells = stored[place] WHERE r.key = keys[place];
      CONTINUE;
    END IF;
    FOR digest, cell IN SELECT * FROM jsonb_each(stored[place]) LOOP
      IF (cell -> 0)::bigint <= t THEN
        stored[place] := stored[place] - digest;
        DELETE FROM @schema.rate_limit_log h WHERE h.key = keys[place] AND h.id = digest;
      END IF;
    END LOOP;
    IF stored[place] = '{}' THEN
      DELETE FROM @schema.rate_limits r WHERE r.key = keys[place];
    ELSE
      UPDATE @schema.rate_limits r SET cells = stored[place],
        expires_at = greatest(kept[place], moved + (moved - moment) / 4 + interval '1 min') WHERE r.key = keys[place];
    END IF;
  END LOOP;`;

const DECIDE = `
CREATE FUNCTION @decide(step text, keys text[], ids text[], limits bigint[], hits bigint[], clock bigint, lock_wait int) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off -- otherwise a plan made for a small table is kept while it grows
AS $function$
DECLARE${VARIABLES}
  kept timestamptz[] := '{}'; -- expires_at of each row
  ends bigint[] := '{}';      -- the latest expiry among the changes of each row; 0 without a change
  first int; last int; several boolean; allowed boolean;
  seen bigint[] := '{}';      -- the variables of each hit, in a batch of several
  actual bigint; has_receipt boolean; hit_at bigint; hit_window bigint; counted bigint; -- settlements
  block_id text; block_changed boolean := false;
  block_until bigint; block_level int; block_amount bigint; block_start bigint; block_pending bigint; block_before bigint; block_expiry bigint;
  block_refusals bigint; block_since bigint;
  moved timestamptz;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE 'rate limits are counted in transactions that are READ COMMITTED only' USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  PERFORM set_config('lock_timeout', lock_wait::text, true), set_config('synchronous_commit', 'off', true);
${LOCK}
${NOW}
${CHECK_WINDOWS}
  CASE step
  WHEN 'consume' THEN${CONSUME}
  WHEN 'settle' THEN${SETTLE}
  WHEN 'block' THEN${BLOCK}
  WHEN 'remove' THEN${REMOVE}
  END CASE;
${WRITE}
  RETURN '[' || t || answer || ']';
END $function$;`;

/** Reads the states for `peekBatch`. Locks nothing. STABLE: all of its queries see one snapshot. */
const PEEK = `
CREATE FUNCTION @peek(keys text[], ids text[], limits bigint[], hits bigint[], clock bigint) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
DECLARE${VARIABLES}
BEGIN
  FOR place IN 1 .. cardinality(keys) LOOP
    SELECT r.cells INTO cell FROM @schema.rate_limits r WHERE r.key = keys[place];
    stored[place] := cell;
  END LOOP;
${NOW}
  FOR number IN 1 .. cardinality(hits) / ${NUMBERS_PER_HIT} LOOP
    base := (number - 1) * ${NUMBERS_PER_HIT};
    ${LOAD}
    ${ofStrategy('remaining')}
    reply := cell;
    ${ANSWER("'0'")}
  END LOOP;
  RETURN '[' || t || answer || ']';
END $function$;`;

/**
 * Part of the names of the functions. Several versions of the package can run concurrently, so functions
 * are never replaced.
 */
export const VERSION = createHash('sha256').update(DECIDE).update(PEEK).digest('hex').slice(0, 8);

/** The statements that create the functions, with placeholders for names. */
export const FUNCTIONS: readonly string[] = [DECIDE, PEEK];
