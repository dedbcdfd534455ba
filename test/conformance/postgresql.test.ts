import { PostgreSQLStorage } from 'nestjs-limits/postgresql';
import { describeStorage } from 'nestjs-limits/testing';
import { describeOn } from '../support/servers.js';

/** The machine may be busy, and some cases make hundreds of calls at once. */
const PATIENT = { timeout: 20_000 };

describeOn('POSTGRESQL', 'on a server', (uri) => {
  describeStorage('PostgreSQLStorage', {
    open: (options) => new PostgreSQLStorage(uri, { ...options, ...PATIENT }),
  });
});
