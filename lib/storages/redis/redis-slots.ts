/**
 * Maximum tags to try. Far more than it takes to reach every server that has more than a few slots.
 */
const MAX_TAGS = 10_000;

/**
 * Returns one hash tag for each server of a cluster, or any one tag if the servers are unknown.
 *
 * @param owners the server of each slot; `undefined` for an unassigned slot
 */
export function tagsOfAll(owners: readonly (string | undefined)[]): readonly string[] {
  const missing = new Set(owners);
  const tags: string[] = [];
  for (let number = 0; missing.size > 0 && number < MAX_TAGS; number++) {
    const tag = String(number);
    if (missing.delete(owners[slotOf(tag)])) tags.push(tag);
  }
  return tags.length > 0 ? tags : ['0'];
}

const SLOTS = 16_384;

/** Returns the slot of a hash tag: its CRC-16 (XMODEM), as Redis Cluster specifies it. */
export function slotOf(tag: string): number {
  let crc = 0;
  for (const byte of Buffer.from(tag)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc % SLOTS;
}
