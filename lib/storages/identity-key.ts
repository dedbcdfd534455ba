/**
 * The key of an identity's record on a server. No prefix has a brace, so that prefixes may begin alike (`app`, `app:api`) and
 * neither share a key nor reset each other's: all keys of one begin with `identityKeys`, and no others do.
 */
export function identityKey(keyPrefix: string, identity: string): string {
  return `${identityKeys(keyPrefix)}${identity}}`;
}

/** What the keys of all identities begin with. */
export function identityKeys(keyPrefix: string): string {
  return `${keyPrefix}:{`;
}
