import { findRemedy, type Remedies } from '../remedy.js';

/**
 * Remedies by SQLSTATE, since servers translate their messages. Other patterns are for PgBouncer,
 * the driver and TLS, which do not.
 */
const REMEDIES: Remedies = [
  [/^28P01|(password|SASL) authentication failed|password must be a string/, 'Check user and password.'],
  [
    /^28000.*(no encryption|SSL off)/,
    'The server may require TLS: add sslmode=require to the URI. Otherwise allow this host and user in pg_hba.conf.',
  ],
  [/^28000/, 'Check the user, and pg_hba.conf of the server.'],
  [/^3D000|^08P01 database .* does not exist/, 'Create the database, or correct its name in the URI.'],
  [
    /^25006|^0A000.*unlogged/,
    'The server is a read-only replica, or default_transaction_read_only is on: name the primary, or turn it off.',
  ],
  [
    /^53300|^08P01 no more connections allowed/,
    'Raise max_connections or the limit of the role or database, lower the option "connections", or use PgBouncer.',
  ],
  [
    /^(26000|42P05)/,
    'The given client prepares statements behind a pooler: turn that off (in postgres.js, prepare: false), or set max_prepared_statements of PgBouncer.',
  ],
  [/^55000.*READ COMMITTED/, "Set default_transaction_isolation of the role to 'read committed'."],
  [
    /unsupported startup parameter/,
    'Remove the parameter "options" from the URI, or list it in ignore_startup_parameters of PgBouncer.',
  ],
  [/does not support SSL/, 'Turn on ssl on the server, or use sslmode=disable.'],
  [
    /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT)/,
    'Name the CA of the server: sslrootcert in the URI, or ca in the option "ssl".',
  ],
];

/**
 * Returns what to change about the server, its role or the URI; `undefined` for an error that may
 * be temporary.
 */
export function postgreSQLRemedy(error: unknown): string | undefined {
  return findRemedy(REMEDIES, error);
}
