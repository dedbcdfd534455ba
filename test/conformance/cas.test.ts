import { describeStorage } from 'nestjs-limits/testing';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';

const server = new MapCasServer();

// The timeout only bounds a hang.
describeStorage('CasStorage', {
  open: (options) => new MapCasStorage(server, { timeout: 20_000, ...options }),
});
