import { blockSql } from '../strategies/block.sql.js';
import type { SqlStrategy } from '../strategies/sql-strategy.js';
import { sqlStrategies, sqlStrategyNames } from '../strategies/sql-strategies.js';

/**
 * Numbers per limit. The durations of all blocks and the bounds of all calendar windows follow the
 * numbers of all limits.
 */
export const NUMBERS_PER_LIMIT = 11;
/** Numbers per hit. */
export const NUMBERS_PER_HIT = 4;
/** Numbers per settlement, which begin with those of a hit. */
export const NUMBERS_PER_SETTLEMENT = 9;

/** Runs one piece of the current strategy. */
export function ofStrategy(piece: keyof SqlStrategy): string {
  const branches = sqlStrategyNames.flatMap((name, number) => {
    const sql = sqlStrategies[name][piece];
    return sql === undefined ? [] : [`\n    WHEN ${number} THEN -- ${name}${sql}`];
  });
  return `
    CASE strategy${branches.join('')}
    ELSE NULL;
    END CASE;`;
}

/** The variables that both functions declare. */
export const VARIABLES = `
  moment timestamptz; -- now
  t bigint;           -- now in epoch ms, by the clock of the storage
  stored jsonb[] := '{}'; -- the cells of each key
  base int;         -- index before the numbers of the current hit
  place int;        -- index of its key
  limit_number int := 0;
  limit_base int;   -- index before the numbers of its limit
  digest text;
  strategy int; amount bigint; period bigint; window_end bigint; burst bigint; is_shadow boolean; refundable boolean;
  bounds int;       -- index of the bounds of its calendar's windows; 0 without a calendar
  durations int; duration_count int; longest bigint; block_after bigint; -- of blocks
  cost bigint;
  cell jsonb; changed jsonb; reply jsonb; -- the state: stored, to be stored, in the answer
  a bigint; b bigint; c bigint;           -- the numbers of the state
  remaining bigint; fits boolean; taken boolean := false;
  block jsonb; blocked_until bigint;
  goal bigint; low bigint; high bigint; oldest record; later record; probe record;
  answer text := '';
  ${sqlStrategyNames.map((name) => sqlStrategies[name].names.trim()).join('\n  ')}`;

/**
 * Loads the current hit, its limit, cell and block. Consecutive hits mostly have the same limit.
 */
export const LOAD = `
    place := hits[base + 2];
    cost := hits[base + 4];
    IF limit_number <> hits[base + 3] THEN
      limit_number := hits[base + 3];
      limit_base := (limit_number - 1) * ${NUMBERS_PER_LIMIT};
      digest := ids[limit_number];
      strategy := limits[limit_base + 1];
      amount := limits[limit_base + 2];
      period := limits[limit_base + 3];
      burst := limits[limit_base + 4];
      is_shadow := limits[limit_base + 5] = 1;
      refundable := limits[limit_base + 6] = 1;
      durations := limits[limit_base + 7];
      duration_count := limits[limit_base + 8];
      longest := limits[limit_base + 9];
      block_after := limits[limit_base + 10];
      bounds := limits[limit_base + 11];
      window_end := CASE WHEN bounds = 0 THEN t + period
        WHEN t >= limits[bounds + 2] THEN limits[bounds + 3]
        WHEN t >= limits[bounds + 1] THEN limits[bounds + 2]
        ELSE limits[bounds + 1] END;
    END IF;
    cell := stored[place] -> digest;
    IF duration_count > 0 THEN
      block := stored[place] -> (digest || '!');
    END IF;`;

/** The SQL version of `look` in apply-batch.ts: sets `fits` for the current hit. */
export const LOOK = `
    ${ofStrategy('remaining')}
    IF duration_count > 0 THEN
      ${blockSql.blockedUntil}
      fits := blocked_until <= t AND cost <= remaining;
    ELSE
      fits := cost <= remaining;
    END IF;`;

/** Appends the current hit to the answer: the verdict, its state and its block. */
export const ANSWER = (verdict: string): string => `
    ${ofStrategy('report')}
    answer := answer || ',[' || ${verdict} || ',' || coalesce(reply::text, 'null')
      || CASE WHEN duration_count > 0 THEN ',' || coalesce(block::text, 'null') || ']' ELSE ']' END;`;
