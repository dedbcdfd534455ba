import {
  Inject,
  Injectable,
  UnauthorizedException,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { CustomersService, type Customer } from './customers.service.js';

export interface ApiRequest {
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Read by limits with the key `'user'`. */
  user?: Customer;
}

/** Authenticates customers by their key. */
@Injectable()
export class ApiKeyGuard implements CanActivate {
  constructor(@Inject(CustomersService) private readonly customers: CustomersService) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<ApiRequest>();
    const customer = this.customers.findByKey(request.headers['x-api-key']);
    if (customer === undefined) throw new UnauthorizedException('Send a key: x-api-key.');
    request.user = customer;
    return true;
  }
}
