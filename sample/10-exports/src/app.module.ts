import { Module } from '@nestjs/common';
import { RateLimitModule } from 'nestjs-limits';
import { ExportsController } from './exports.controller.js';
import { ExportsService } from './exports.service.js';
import { FakeTable } from './fake-table.js';
import { StoreLog } from './store-log.js';

/** Not the default port, since the steps of this sample restart this Redis. */
export const redisUrl = process.env['REDIS_URL'] ?? 'redis://localhost:6380';

@Module({
  imports: [RateLimitModule.forRoot({ storage: redisUrl })],
  controllers: [ExportsController],
  providers: [ExportsService, FakeTable, StoreLog],
})
export class AppModule {}
