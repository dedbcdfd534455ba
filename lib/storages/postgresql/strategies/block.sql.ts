/** Advances the periods of reservations to now: the twin of `reservations` in `block.ts`. */
const RESERVATIONS = `
    block_until := coalesce((block -> 1)::bigint, 0);
    block_level := coalesce((block -> 2)::int, 0);
    block_start := (block -> 3)::bigint;
    block_pending := coalesce((block -> 4)::bigint, 0);
    block_before := coalesce((block -> 5)::bigint, 0);
    IF block_start IS NULL OR t - block_start >= 2 * period THEN
      block_start := t;
      block_pending := 0;
      block_before := 0;
    ELSIF t - block_start >= period THEN
      block_start := block_start + period;
      block_before := block_pending;
      block_pending := 0;
    ELSE
      block_start := least(block_start, t);
    END IF;`;

/** Sets `block` to the state, without reservations where there are none; forgets one that says nothing. */
const STORE = `
    block_expiry := CASE WHEN block_until > 0 THEN block_until + longest ELSE 0 END;
    IF block_pending > 0 THEN
      block_expiry := greatest(block_expiry, block_start + 2 * period);
    ELSIF block_before > 0 THEN
      block_expiry := greatest(block_expiry, block_start + period);
    END IF;
    block := CASE
      WHEN block_pending + block_before > 0
        THEN jsonb_build_array(block_expiry, block_until, block_level, block_start, block_pending, block_before)
      WHEN block_until > 0 THEN jsonb_build_array(block_expiry, block_until, block_level)
    END;
    block_changed := true;`;

/**
 * The twin of `block.ts`: pieces of PL/pgSQL like those of strategies, over `block`, the stored state of the block or NULL. Its
 * numbers are the expiry, and what `encode` of the pure steps returns. `longest` is the longest duration. A piece that changes the
 * state sets `block` and `block_changed`.
 */
export const blockSql = {
  /** Sets `blocked_until`, which is now if no block is in force. */
  blockedUntil: `
    blocked_until := greatest(t, least(coalesce((block -> 1)::bigint, t), t + longest));`,

  /** Shortens a block from the future. */
  shorten: `
    IF (block -> 1)::bigint > t + longest THEN
      block := jsonb_set(block, '{1}', to_jsonb(t + longest));
      block_changed := true;
    END IF;`,

  /** Blocks after a refusal. `durations` is the place of the first duration among the numbers of the limits. */
  commit: `
    ${RESERVATIONS}
    IF refundable AND cost <= remaining + block_pending + block_before THEN
      NULL; -- those who went before may still turn out not to count
    ELSE
      block_level := CASE WHEN block_until > 0 AND t < block_until + longest
        THEN least(block_level + 1, duration_count - 1) ELSE 0 END;
      block_until := t + limits[durations + block_level];
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
    ${STORE}`,
} as const;
