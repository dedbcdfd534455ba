import { MemoryStorage } from 'nestjs-limits';
import { describeStorage } from 'nestjs-limits/testing';

describeStorage('MemoryStorage', { open: (options) => new MemoryStorage(options) });
