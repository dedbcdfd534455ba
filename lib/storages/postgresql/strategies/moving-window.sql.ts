import type { SqlStrategy } from './sql-strategy.js';

/** Selects the entries of the current log. */
const LOG = 'FROM @schema.rate_limit_log h WHERE h.key = keys[place] AND h.id = digest';
const DELETE_FROM_LOG = 'DELETE FROM @schema.rate_limit_log h WHERE h.key = keys[place] AND h.id = digest';
const UPDATE_LOG = (total: string): string =>
  `UPDATE @schema.rate_limit_log h SET total = ${total} WHERE h.key = keys[place] AND h.id = digest`;

/** Sets the running total of the entry at a time. Creates the entry if it does not exist. */
const PUT = (at: string, total: string): string =>
  `INSERT INTO @schema.rate_limit_log AS h VALUES (keys[place], digest, ${at}, ${total})
        ON CONFLICT (key, id, at) DO UPDATE SET total = excluded.total`;

const MAX_PRUNED = 64;

/** Entries that have left the window are deleted together, once they have this many units. */
const UNITS_PER_PRUNING = `least(${MAX_PRUNED}, greatest(8, amount / 4))`;

/** Merges entries from the future, left by a clock that went back, into one entry at now. */
const PULL_BACK_FUTURE = `
    IF moving_newest > t THEN
      ${DELETE_FROM_LOG} AND h.at > t;
      ${PUT('t', 'moving_total')};
      moving_newest := t;
    END IF;`;

const REMAINING = `
    moving_left := (cell -> 1)::bigint;
    moving_newest := NULL;
    moving_total := 0;
    IF cell IS NOT NULL THEN
      SELECT h.at, h.total INTO moving_newest, moving_total ${LOG} ORDER BY h.at DESC LIMIT 1;
      IF moving_newest <= t - period OR moving_newest IS NULL THEN
        moving_left := greatest(moving_left, moving_total);
        moving_total := moving_left;
      ELSE
        SELECT greatest(moving_left, (
          SELECT h.total ${LOG} AND h.at <= t - period ORDER BY h.at DESC LIMIT 1)) INTO moving_left;
      END IF;
    ELSE
      moving_left := 0;
    END IF;
    remaining := greatest(0, amount - (moving_total - moving_left));`;

/**
 * Finds the first counted entry with a running total of at least `goal`: mostly the oldest one,
 * otherwise by bisection.
 */
const FIND = (entry: string): string => `
      low := t - period;
      high := moving_newest;
      LOOP
        SELECT h.at, h.total INTO ${entry} ${LOG} AND h.at > low ORDER BY h.at LIMIT 1;
        EXIT WHEN ${entry}.total >= goal OR ${entry}.at >= high;
        low := ${entry}.at + (high - ${entry}.at) / 2;
        SELECT h.at, h.total INTO probe ${LOG} AND h.at <= low ORDER BY h.at DESC LIMIT 1;
        IF probe.total >= goal THEN
          high := probe.at;
          low := ${entry}.at;
        END IF;
      END LOOP;`;

/**
 * The SQL version of `moving-window.strategy.ts`, with rows of the log table instead of an array.
 *
 * The row of an identity holds `[expiry, left]`: left is the running total of the entries that have
 * left the window. An entry holds the ms of its hits and the running total up to them. The newest
 * total minus `left` is consumed.
 */
export const movingWindowSql: SqlStrategy = {
  names: `
  moving_newest ALIAS FOR a;
  moving_total ALIAS FOR b;
  moving_left ALIAS FOR c;`,

  remaining: REMAINING,

  commit: `
    IF moving_newest > t THEN
      ${DELETE_FROM_LOG} AND h.at > t;
    END IF;
    moving_newest := t;
    moving_total := moving_total + cost;
    ${PUT('t', 'moving_total')};
    IF moving_left / ${UNITS_PER_PRUNING} > coalesce((cell -> 1)::bigint, 0) / ${UNITS_PER_PRUNING} THEN
      ${DELETE_FROM_LOG} AND h.at <= t - period;
    END IF;
    changed := jsonb_build_array(t + period, moving_left);`,

  refuse: `
    IF moving_newest > t THEN
      changed := cell;
    END IF;${PULL_BACK_FUTURE}`,

  settle: `
    counted := CASE WHEN has_receipt THEN hit_at END;
    ${PULL_BACK_FUTURE}
    IF NOT has_receipt THEN
      goal := greatest(moving_left, moving_total + actual - cost); -- refunds the newest entries
      IF goal < moving_total THEN
        SELECT coalesce((SELECT h.at ${LOG} AND h.total < goal ORDER BY h.at DESC LIMIT 1), t - period) INTO low;
        SELECT min(h.at) ${LOG} AND h.at > low INTO low;
        ${DELETE_FROM_LOG} AND h.at > low;
        ${UPDATE_LOG('goal')} AND h.at = low;
        moving_total := goal;
      END IF;
    ELSIF hit_at > t - period THEN
      low := least(hit_at, t);
      SELECT greatest(moving_left, (SELECT h.total ${LOG} AND h.at < low ORDER BY h.at DESC LIMIT 1)) INTO goal;
      SELECT h.total INTO high ${LOG} AND h.at = low AND h.total > moving_left;
      IF FOUND THEN
        actual := greatest(actual, cost + goal - high); -- the entry keeps at least 0 units
        ${UPDATE_LOG('h.total + actual - cost')} AND h.at >= low;
        IF high + actual - cost = goal THEN
          ${DELETE_FROM_LOG} AND h.at = low;
        END IF;
        moving_total := moving_total + actual - cost;
      ELSIF actual > cost THEN
        ${UPDATE_LOG('h.total + actual - cost')} AND h.at > low AND h.total > moving_left;
        ${PUT('low', 'goal + actual - cost')};
        moving_total := moving_total + actual - cost;
      END IF;
    END IF;
    IF moving_total > moving_left THEN
      SELECT max(h.at) ${LOG} INTO moving_newest;
      changed := jsonb_build_array(greatest(moving_newest + period, (cell -> 0)::bigint), moving_left);
    ELSE
      ${DELETE_FROM_LOG};
      changed := NULL;
    END IF;`,

  // Reports only the entries that the pure steps look for, with the units before them.
  report: `
    reply := NULL;
    IF moving_total > moving_left THEN
      goal := moving_total - greatest(0, least(moving_total - moving_left, amount) - 1);
      ${FIND('oldest')}
      later := oldest;
      IF NOT taken AND cost > remaining AND cost <= amount THEN
        goal := moving_total - (amount - cost);
        ${FIND('later')}
      END IF;
      reply := jsonb_build_array(0, oldest.at, oldest.total - moving_left, later.at, later.total - oldest.total,
        moving_newest, moving_total - later.total);
    END IF;`,
};
