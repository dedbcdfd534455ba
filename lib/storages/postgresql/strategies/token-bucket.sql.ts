import type { SqlStrategy } from './sql-strategy.js';

/**
 * The SQL version of `token-bucket.strategy.ts`. A state keeps the latest expiry of all limits that
 * share it: a limit that refills slower needs it longer.
 */
export const tokenBucketSql: SqlStrategy = {
  names: `
  bucket_level ALIAS FOR a;
  bucket_amount ALIAS FOR b;
  bucket_expiry ALIAS FOR c;`,

  // Bounds the elapsed time by the time until the level is 0, so that the product cannot overflow.
  remaining: `
    bucket_level := 0;
    bucket_amount := amount;
    IF cell IS NOT NULL THEN
      bucket_level := (cell -> 1)::bigint;
      bucket_amount := (cell -> 3)::bigint;
      IF t > (cell -> 2)::bigint THEN
        bucket_level := greatest(0, bucket_level - least(bucket_amount, amount)
          * least(t - (cell -> 2)::bigint, bucket_level / greatest(1, least(bucket_amount, amount)) + 1));
      END IF;
    END IF;
    remaining := greatest(0, burst * period - bucket_level) / period;`,

  commit: `
    bucket_level := bucket_level + cost * period;
    changed := jsonb_build_array(greatest(t + (bucket_level - 1) / greatest(1, amount) + 1, (cell -> 0)::bigint),
      bucket_level, t, amount);`,

  refuse: `
    bucket_expiry := least((cell -> 2)::bigint, t)
      + ((cell -> 1)::bigint - 1) / greatest(1, least(bucket_amount, amount)) + 1;
    IF (cell -> 2)::bigint > t OR bucket_expiry > (cell -> 0)::bigint THEN
      changed := jsonb_build_array(greatest(bucket_expiry, (cell -> 0)::bigint),
        cell -> 1, least((cell -> 2)::bigint, t), cell -> 3);
    END IF;`,

  settle: `
    counted := CASE WHEN has_receipt THEN hit_window END;
    IF bucket_level = 0 THEN
      bucket_amount := amount; -- a full bucket has no amount
    END IF;
    bucket_level := greatest(0, least(${Number.MAX_SAFE_INTEGER}, bucket_level + CASE
      WHEN actual > cost THEN (actual - cost)::numeric * period
      ELSE least(0, CASE WHEN has_receipt THEN greatest(0, t - hit_at)::numeric * greatest(amount, bucket_amount) ELSE 0 END
        - (cost - actual)::numeric * period)
    END));
    bucket_amount := greatest(1, least(amount, bucket_amount));
    changed := CASE WHEN bucket_level > 0 THEN jsonb_build_array(
      greatest(t + (bucket_level - 1) / bucket_amount + 1, (cell -> 0)::bigint), bucket_level, t, bucket_amount) END;`,
};
