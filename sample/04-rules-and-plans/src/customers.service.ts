import { Injectable } from '@nestjs/common';

export const plans = ['free', 'pro', 'internal'] as const;
export type Plan = (typeof plans)[number];

export interface Customer {
  readonly id: string;
  plan: Plan;
}

/** In production, a database. */
@Injectable()
export class CustomersService {
  readonly #byKey = new Map<string, Customer>([
    ['ann-key', { id: 'ann', plan: 'free' }],
    ['bob-key', { id: 'bob', plan: 'pro' }],
    ['cron-key', { id: 'cron', plan: 'internal' }],
  ]);

  findByKey(key: string | undefined): Customer | undefined {
    return key === undefined ? undefined : this.#byKey.get(key);
  }

  find(id: string): Customer | undefined {
    return [...this.#byKey.values()].find((customer) => customer.id === id);
  }
}
