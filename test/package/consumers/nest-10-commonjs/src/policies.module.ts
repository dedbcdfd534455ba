import {
  CanActivate,
  Controller,
  DynamicModule,
  ExecutionContext,
  Get,
  HttpCode,
  Injectable,
  Module,
  Post,
  Req,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { MemoryStorage, RateLimit, RateLimitGuard, RateLimitModule } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';

interface Request {
  headers: Record<string, string | undefined>;
  user?: { id: string; plan: string };
}

/** The name contains the plan: `ann.pro`. */
@Injectable()
class AuthGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<Request>();
    const name = request.headers['x-user'];
    if (name === undefined) throw new UnauthorizedException();
    request.user = { id: name, plan: name.split('.')[1] ?? 'free' };
    return true;
  }
}

@Controller()
class ShopController {
  @Post('login')
  @HttpCode(200)
  @RateLimit('5/minute', { name: 'login', count: 'failure' })
  login(@Req() request: Request) {
    if (request.headers['x-password'] !== 'right') throw new UnauthorizedException();
    return {};
  }

  @Get('orders/:id')
  @UseGuards(AuthGuard, RateLimitGuard)
  @RateLimit({ free: '1/minute', pro: '3/minute' }, { name: 'orders', key: 'user', phase: 'afterAuth' })
  order() {
    return {};
  }
}

@Module({})
export class PoliciesModule {
  /** Has separate counts. */
  static register(): DynamicModule {
    const limits = RateLimitModule.forRoot({
      storage: new MemoryStorage({ clock: new ManualClock() }),
      plan: (context) => context.switchToHttp().getRequest<Request>().user?.plan,
      rules: [
        {
          id: 'tenants',
          path: '/orders/**',
          limits: '6/minute',
          key: ['ip', 'header:x-tenant'],
          continue: true,
        },
        { id: 'all', method: 'GET', path: '/**', limits: '100/minute' },
      ],
    });
    return { module: PoliciesModule, imports: [limits], controllers: [ShopController] };
  }
}
