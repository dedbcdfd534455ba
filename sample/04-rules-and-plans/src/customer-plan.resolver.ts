import { Injectable, type ExecutionContext } from '@nestjs/common';
import { requestOf, type PlanResolver } from 'nestjs-limits';
import type { ApiRequest } from './api-key.guard.js';

/** The plan of the customer whom the guard has let in. */
@Injectable()
export class CustomerPlanResolver implements PlanResolver {
  resolve(context: ExecutionContext): string | undefined {
    return requestOf<ApiRequest>(context)?.user?.plan;
  }
}
