/** The amount of a block that every limit obeys: one set by hand, or stored without an amount. */
const EVERY_AMOUNT = Number.MAX_SAFE_INTEGER;

/**
 * The amount follows the level, or the reservations, if units are reserved. Refusals that are counted,
 * and the time of the first one, follow the amount and all reservations.
 */
const STORED_AMOUNT = `coalesce(
      (block -> CASE WHEN jsonb_array_length(block) > 4 THEN 6 ELSE 3 END)::bigint, ${EVERY_AMOUNT})`;

/** The SQL version of `reservations` in `block.ts`: advances the periods of reservations to now. */
const RESERVATIONS = `
    block_until := coalesce((block -> 1)::bigint, 0);
    block_level := coalesce((block -> 2)::int, 0);
    block_amount := ${STORED_AMOUNT};
    block_start := t;
    block_pending := 0;
    block_before := 0;
    IF jsonb_array_length(block) > 4 THEN
      block_start := (block -> 3)::bigint;
      block_pending := (block -> 4)::bigint;
      block_before := (block -> 5)::bigint;
    END IF;
    block_refusals := coalesce((block -> 7)::bigint, 0);
    block_since := coalesce((block -> 8)::bigint, 0);
    IF t - block_start < period AND block_pending + block_before > 0 THEN
      block_start := least(block_start, t);
    ELSIF t - block_start < 2 * period AND block_pending > 0 THEN
      block_start := block_start + period;
      block_before := block_pending;
      block_pending := 0;
    ELSE
      block_start := t;
      block_pending := 0;
      block_before := 0;
    END IF;`;

/** Sets `block` to the state. A state without a block and without reservations becomes NULL. */
const STORE = `
    block_expiry := CASE WHEN block_until > 0 THEN block_until + longest ELSE 0 END;
    IF block_pending > 0 THEN
      block_expiry := greatest(block_expiry, block_start + 2 * period);
    ELSIF block_before > 0 THEN
      block_expiry := greatest(block_expiry, block_start + period);
    END IF;
    IF block_refusals > 0 THEN
      block_expiry := greatest(block_expiry, block_since + period);
    END IF;
    block := CASE
      WHEN block_pending + block_before + block_refusals > 0
        THEN jsonb_build_array(block_expiry, block_until, block_level, block_start, block_pending, block_before)
      WHEN block_until > 0 THEN jsonb_build_array(block_expiry, block_until, block_level)
    END || CASE
      WHEN block_refusals > 0 THEN jsonb_build_array(block_amount, block_refusals, block_since)
      WHEN block_amount = ${EVERY_AMOUNT} THEN '[]'
      ELSE jsonb_build_array(block_amount) END;
    block_changed := true;`;

/**
 * The SQL version of `block.ts`: pieces of PL/pgSQL, like those of the strategies. They read
 * `block`, the stored state of the block or NULL: its expiry, then the numbers that `encode` of the
 * pure steps returns. `longest` is the longest duration. A piece that changes the state sets
 * `block` and `block_changed`.
 */
export const blockSql = {
  /** Sets `blocked_until`; to now if the limit obeys no block. */
  blockedUntil: `
    blocked_until := CASE WHEN amount > ${STORED_AMOUNT} THEN t
      ELSE greatest(t, least(coalesce((block -> 1)::bigint, t), t + longest)) END;`,

  /** Shortens a block from the future, left by a clock that went back. */
  shorten: `
    IF (block -> 1)::bigint > t + longest THEN
      block := jsonb_set(block, '{1}', to_jsonb(t + longest));
      block_changed := true;
    END IF;`,

  /**
   * Counts a refusal, and blocks after the last that is needed, unless the refusal depends on
   * reservations that may still be refunded.
   * `durations` is the index of the first duration in `limits`.
   */
  commit: `
    ${RESERVATIONS}
    IF NOT refundable OR cost > remaining + block_pending + block_before THEN
      block_refusals := CASE WHEN t - block_since >= period THEN 0 ELSE block_refusals END + 1;
      IF block_refusals < block_after THEN
        block_since := CASE WHEN block_refusals = 1 THEN t ELSE least(block_since, t) END;
      ELSE
        block_level := CASE WHEN block_until > 0 AND t < block_until + longest
          THEN least(block_level + 1, duration_count - 1) ELSE 0 END;
        block_until := t + limits[durations + block_level];
        block_amount := amount;
        block_refusals := 0;
        block_since := 0;
      END IF;
      ${STORE}
    END IF;`,

  /** Reserves the cost of a hit. */
  reserve: `
    ${RESERVATIONS}
    block_pending := block_pending + cost;
    ${STORE}`,

  /** Settles units that were reserved at `hit_at`. */
  settle: `
    IF block IS NOT NULL THEN
      ${RESERVATIONS}
      IF hit_at >= block_start THEN
        block_pending := greatest(0, block_pending - cost);
      ELSIF hit_at >= block_start - period THEN
        block_before := greatest(0, block_before - cost);
      END IF;
      ${STORE}
      IF block_expiry <= t THEN
        block := NULL;
      END IF;
    END IF;`,

  /** Blocks for `cost` ms, or lifts the block if that is 0. */
  byHand: `
    ${RESERVATIONS}
    block_until := CASE WHEN cost > 0 THEN t + cost ELSE 0 END;
    block_level := 0;
    block_amount := ${EVERY_AMOUNT};
    block_refusals := 0;
    block_since := 0;
    ${STORE}`,
} as const;
