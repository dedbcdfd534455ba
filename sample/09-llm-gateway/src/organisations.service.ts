import { Injectable } from '@nestjs/common';

export interface Organisation {
  /** Read by limits with the key `'user'`. */
  readonly id: string;
  readonly plan: 'free' | 'pro';
  /** Billed tokens: those of its prompts, and those that were delivered. */
  tokens: number;
}

/** In production, a database. */
@Injectable()
export class OrganisationsService {
  readonly #byKey = new Map<string, Organisation>([
    ['acme-key', { id: 'acme', plan: 'free', tokens: 0 }],
    ['umbrella-key', { id: 'umbrella', plan: 'pro', tokens: 0 }],
  ]);

  findByKey(key: string | undefined): Organisation | undefined {
    return key === undefined ? undefined : this.#byKey.get(key);
  }
}
