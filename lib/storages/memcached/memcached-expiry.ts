/**
 * Memcached's clock ticks once a second and may lag behind by nearly two, so that what is stored just before a tick ends so
 * much sooner.
 */
const TICKS = 2;

/** Beyond this, Memcached takes an expiry for a date, in seconds. */
const MAX_RELATIVE_EXPIRY_S = 30 * 24 * 60 * 60;

/** The last date that it can read: 2038-01-19. */
const LAST_DATE = 2 ** 31 - 1;

/** Never: until the server needs the room, or the item is written anew. */
const NEVER = 0;

/**
 * How Memcached is told to keep an item for at least `ttl` ms.
 *
 * @param now epoch ms by the real clock, as the server's is, whatever the storage's clock says
 */
export function memcachedExpiry(ttl: number, now: number): number {
  const seconds = Math.ceil(ttl / 1000) + TICKS;
  if (seconds <= MAX_RELATIVE_EXPIRY_S) return seconds;
  const date = Math.ceil(now / 1000) + seconds;
  return date <= LAST_DATE ? date : NEVER;
}
