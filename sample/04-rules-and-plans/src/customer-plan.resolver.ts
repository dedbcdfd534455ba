import { Injectable, type ExecutionContext } from '@nestjs/common';
import { requestOf, type PlanResolver } from 'nestjs-limits';
import type { ApiRequest } from './api-key.guard.js';

/** Resolves the plan of the authenticated customer. */
@Injectable()
export class CustomerPlanResolver implements PlanResolver {
  resolve(context: ExecutionContext): string | undefined {
    return requestOf<ApiRequest>(context)?.user?.plan;
  }
}
