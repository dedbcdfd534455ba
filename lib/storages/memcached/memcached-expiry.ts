/**
 * Seconds added to every expiry. Memcached's clock ticks once a second and may lag by nearly two,
 * so an item may expire that much too early.
 */
const CLOCK_LAG_S = 2;

/** Longest relative expiry, in seconds. Memcached reads a larger one as a date. */
const MAX_RELATIVE_EXPIRY_S = 30 * 24 * 60 * 60;

/** Latest date that Memcached can read: 2038-01-19. */
const LAST_DATE = 2 ** 31 - 1;

/** No expiry: the item stays until it is overwritten or evicted. */
const NEVER = 0;

/**
 * Returns the expiry that makes Memcached keep an item for at least `ttl` ms.
 *
 * @param now epoch ms by the real clock, which the server also uses, not by the storage's clock
 */
export function memcachedExpiry(ttl: number, now: number): number {
  const seconds = Math.ceil(ttl / 1000) + CLOCK_LAG_S;
  if (seconds <= MAX_RELATIVE_EXPIRY_S) return seconds;
  const date = Math.ceil(now / 1000) + seconds;
  return date <= LAST_DATE ? date : NEVER;
}
