import { describeStorage } from 'nestjs-limits/testing';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';

const server = new MapCasServer();

describeStorage('CasStorage', { open: (options) => new MapCasStorage(server, options) });
