import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Controller, Get } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { RateLimitModule, storageFromString } from 'nestjs-limits';
import { startHttpApp } from '../support/http-app.js';
import { describeQuickstart } from '../support/quickstart.js';
import { describeOn, type ServerName } from '../support/servers.js';

const SERVERS: readonly ServerName[] = [
  'REDIS',
  'REDIS_TLS',
  'REDIS_UNIX',
  'REDIS_CLUSTER',
  'REDIS_SENTINEL',
  'MEMCACHED',
  'MEMCACHED_UNIX',
  'ETCD',
  'MONGODB',
  'MONGODB_REPLICA',
  'POSTGRESQL',
];

@Controller('items')
class ItemsController {
  @Get()
  items() {
    return { status: 'ok' };
  }
}

describe.each(SERVERS)('on %s', (server) => {
  describeOn(server, 'by its URI', (uri) => {
    const options = () => ({
      keyPrefix: `quickstart-${randomBytes(6).toString('hex')}`,
      ...(server === 'REDIS_TLS'
        ? { tls: { ca: readFileSync(process.env['TEST_REDIS_TLS_CA'] ?? '') } }
        : {}),
    });

    describeQuickstart((clock) => storageFromString(uri, { ...options(), ...clock }));

    it('The quick start of Limify answers the sixth request of a minute with 429', async () => {
      const storage = await storageFromString(uri, options());
      const rules = [{ id: 'default', method: '*' as const, path: '/**', limits: '5/minute' }];
      const app = await startHttpApp('express', {
        imports: [RateLimitModule.forRoot({ storage, strategy: 'token-bucket', rules, resilience: false })],
        controllers: [ItemsController],
      });
      try {
        expect(await app.statuses(6, '/items')).toEqual([200, 200, 200, 200, 200, 429]);
      } finally {
        await app.close();
        await storage.close();
      }
    });
  });
});
