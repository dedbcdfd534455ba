import {
  BadRequestException,
  Body,
  ConflictException,
  Controller,
  Get,
  Inject,
  Param,
  Put,
} from '@nestjs/common';
import {
  ConcurrentUpdateError,
  ConfigurationError,
  RateLimiterService,
  type SharedRule,
  type SharedSettings,
} from 'nestjs-limits';

/** Changes rules in all instances. In production, behind a guard. */
@Controller('rules')
export class RulesController {
  constructor(@Inject(RateLimiterService) private readonly limiter: RateLimiterService) {}

  @Get()
  list(): Promise<SharedSettings> {
    return this.limiter.sharedSettings();
  }

  @Put(':id')
  async change(
    @Param('id') id: string,
    @Body() options: Omit<SharedRule, 'id'> | undefined,
  ): Promise<SharedSettings> {
    const { version, rules } = await this.limiter.sharedSettings();
    const others = rules.filter((rule) => rule.id !== id);
    try {
      return await this.limiter.setRules([...others, { ...options, id }], { everywhere: true, version });
    } catch (error) {
      if (error instanceof ConcurrentUpdateError) throw new ConflictException(error.message);
      if (error instanceof ConfigurationError) throw new BadRequestException(error.message);
      throw error;
    }
  }
}
