import {
  BadRequestException,
  Controller,
  ForbiddenException,
  Headers,
  Inject,
  NotFoundException,
  Param,
  Put,
} from '@nestjs/common';
import { CustomersService, plans } from './customers.service.js';

@Controller('admin')
export class AdminController {
  constructor(@Inject(CustomersService) private readonly customers: CustomersService) {}

  /** Applies the new plan from the customer's next request on. Keeps what was consumed. */
  @Put('customers/:id/plan/:plan')
  changePlan(
    @Headers('x-admin-key') key: string | undefined,
    @Param('id') id: string,
    @Param('plan') name: string,
  ) {
    if (key !== (process.env['ADMIN_KEY'] ?? 'admin-key')) throw new ForbiddenException();
    const customer = this.customers.find(id);
    if (customer === undefined) throw new NotFoundException(`There is no customer "${id}".`);
    const plan = plans.find((one) => one === name);
    if (plan === undefined) throw new BadRequestException(`A plan is one of ${plans.join(', ')}.`);
    customer.plan = plan;
    return { id, plan };
  }
}
