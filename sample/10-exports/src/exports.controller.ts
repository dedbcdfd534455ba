import {
  BadRequestException,
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  Inject,
  Param,
  ParseIntPipe,
  Post,
  Sse,
} from '@nestjs/common';
import { RateLimit } from 'nestjs-limits';
import { map, type Observable } from 'rxjs';
import { ExportsService, type Progress } from './exports.service.js';

/** In production, the user comes from authentication. */
@Controller('exports/:user')
export class ExportsController {
  constructor(@Inject(ExportsService) private readonly service: ExportsService) {}

  /** Starts an export, or lets it wait for a slot. Answers immediately. */
  @Post()
  @HttpCode(202)
  @RateLimit('30/minute')
  start(@Param('user') user: string, @Body('rows', ParseIntPipe) rows: number): Progress {
    if (rows < 1) throw new BadRequestException('Export one row or more: rows=100.');
    return this.service.start(user, rows);
  }

  @Get()
  list(@Param('user') user: string) {
    return this.service.list(user);
  }

  @Sse(':id')
  progress(
    @Param('user') user: string,
    @Param('id', ParseIntPipe) id: number,
  ): Observable<{ data: Progress }> {
    return this.service.watch(user, id).pipe(map((data) => ({ data })));
  }

  @Delete(':id')
  @HttpCode(204)
  cancel(@Param('user') user: string, @Param('id', ParseIntPipe) id: number): void {
    this.service.cancel(user, id);
  }
}
