import { describeStorage } from 'nestjs-limits/testing';
import { GatheringCasStorage, MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';

const server = new MapCasServer();

// The timeout only bounds a hang.
describeStorage('CasStorage', {
  open: (options) => new MapCasStorage(server, { timeout: 20_000, ...options }),
});

describeStorage('CasStorage that reads and replaces several keys in one call', {
  open: (options) => new GatheringCasStorage(server, { timeout: 20_000, ...options }),
});
