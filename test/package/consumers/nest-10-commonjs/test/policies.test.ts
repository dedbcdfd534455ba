import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { PoliciesModule } from '../src/policies.module';

describe('Limits on Express 4', () => {
  let app: INestApplication;
  let url: string;
  beforeEach(async () => {
    const module = await Test.createTestingModule({ imports: [PoliciesModule.register()] }).compile();
    app = module.createNestApplication();
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });
  afterEach(() => app.close());

  async function statuses(times: number, path: string, headers: Record<string, string>): Promise<number[]> {
    const seen: number[] = [];
    for (let time = 0; time < times; time++) seen.push((await fetch(url + path, { headers })).status);
    return seen;
  }

  it('apply together: a plan per user after authentication, a rule per tenant, a rule for all', async () => {
    const ann = { 'x-user': 'ann.pro', 'x-tenant': 'acme' };
    const first = await fetch(`${url}/orders/1`, { headers: ann });
    expect(first.status).toBe(200);
    expect(first.headers.get('ratelimit')).toBe('"tenants";r=5;t=60, "all";r=99;t=60, "orders";r=2;t=60');
    expect(await statuses(1, '/orders/2', { 'x-tenant': 'acme' })).toEqual([401]);
    expect(await statuses(3, '/orders/%33', ann)).toEqual([200, 200, 429]);
    expect(await statuses(2, '/orders/4', { 'x-user': 'bob', 'x-tenant': 'other' })).toEqual([200, 429]);
  });

  it('that count failures only allow five of 200 concurrent wrong passwords', async () => {
    const tries = Array.from({ length: 200 }, () =>
      fetch(`${url}/login`, { method: 'POST', headers: { 'x-password': 'wrong' } }),
    );
    const seen = (await Promise.all(tries)).map(({ status }) => status);
    expect(seen.filter((status) => status === 401)).toHaveLength(5);
    expect(seen.filter((status) => status === 429)).toHaveLength(195);
  });

  it('that count failures only allow every success', async () => {
    const seen: number[] = [];
    for (let time = 0; time < 9; time++) {
      const reply = await fetch(`${url}/login`, { method: 'POST', headers: { 'x-password': 'right' } });
      await reply.text();
      seen.push(reply.status);
    }
    expect(seen).toEqual(Array(9).fill(200));
  });
});
