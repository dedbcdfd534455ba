import { Controller, Get, UseGuards } from '@nestjs/common';
import { RateLimitGuard, RateLimitInfo, type Decision } from 'nestjs-limits';
import { ApiKeyGuard } from './api-key.guard.js';

/** Limited by the rules of the module: no decorator says how. */
@Controller('api/reports')
@UseGuards(ApiKeyGuard, RateLimitGuard)
export class ReportsController {
  @Get()
  list(@RateLimitInfo() decision?: Decision) {
    return { reports: [], remaining: decision?.remaining };
  }
}
