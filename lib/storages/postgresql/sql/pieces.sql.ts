import { blockSql } from '../strategies/block.sql.js';
import type { SqlStrategy } from '../strategies/sql-strategy.js';
import { sqlStrategies, sqlStrategyNames } from '../strategies/sql-strategies.js';

/** Numbers per limit. Those of all limits come before the durations of all blocks. */
export const NUMBERS_PER_LIMIT = 9;
/** Numbers per hit: those that every step reads, and those of a settlement. */
export const NUMBERS_PER_HIT = 4;
export const NUMBERS_PER_SETTLEMENT = 9;

/** Runs one piece of the strategy at hand. */
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

/** The variables of both functions. */
export const VARIABLES = `
  moment timestamptz; -- now
  t bigint;           -- now in epoch ms, by the clock that counts
  stored jsonb[] := '{}'; -- the cells of each key
  base int;         -- the place before the numbers of the hit at hand
  place int;        -- of its key among the keys
  limit_number int := 0;
  limit_base int;   -- the place before the numbers of its limit
  digest text;
  strategy int; amount bigint; period bigint; burst bigint; is_shadow boolean; refundable boolean;
  durations int; duration_count int; longest bigint; -- of blocks
  cost bigint;
  cell jsonb; changed jsonb; reply jsonb; -- the state of the hit's limit: as stored, to store, and as the caller reads it
  a bigint; b bigint; c bigint;           -- the numbers of the state
  remaining bigint; fits boolean; taken boolean := false;
  block jsonb; blocked_until bigint;
  goal bigint; low bigint; high bigint; oldest record; later record; probe record;
  answer text := '';
  ${sqlStrategyNames.map((name) => sqlStrategies[name].names.trim()).join('\n  ')}`;

/** Finds the hit at hand: its limit, its cell and its block. Limits that follow one another are mostly the same. */
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
    END IF;
    cell := stored[place] -> digest;
    IF duration_count > 0 THEN
      block := stored[place] -> (digest || '!');
    END IF;`;

/** Sets `fits` for the hit at hand: the twin of `look` in apply-batch.ts. */
export const LOOK = `
    ${ofStrategy('remaining')}
    IF duration_count > 0 THEN
      ${blockSql.blockedUntil}
      fits := blocked_until <= t AND cost <= remaining;
    ELSE
      fits := cost <= remaining;
    END IF;`;

/** Adds the hit at hand to the answer: what became of it, its state and its block. */
export const ANSWER = (verdict: string): string => `
    ${ofStrategy('report')}
    answer := answer || ',[' || ${verdict} || ',' || coalesce(reply::text, 'null')
      || CASE WHEN duration_count > 0 THEN ',' || coalesce(block::text, 'null') || ']' ELSE ']' END;`;
