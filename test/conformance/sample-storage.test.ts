import { describeStorage } from 'nestjs-limits/testing';
import { VersionedMapStorage } from '../../sample/03-custom-storage/src/versioned-map.storage.js';

describeStorage('VersionedMapStorage of sample 03-custom-storage', {
  open: (options) => new VersionedMapStorage(options),
});
