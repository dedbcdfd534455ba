/** Far more tags than it takes to come upon every server, unless one has hardly any slots. */
const MAX_TAGS = 10_000;

/**
 * Hash tags that lie on every server of a cluster, one each; any one where the servers are not known.
 *
 * @param owners the server of each slot; `undefined` for nobody
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

/** The slot of a key with this hash tag: its CRC-16 (XMODEM), as Redis Cluster specifies it. */
export function slotOf(tag: string): number {
  let crc = 0;
  for (const byte of Buffer.from(tag)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc % SLOTS;
}
