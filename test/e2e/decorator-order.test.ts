import { expect, it } from '@jest/globals';
import { Controller, Get, Injectable, SetMetadata } from '@nestjs/common';
import { Query, Resolver } from '@nestjs/graphql';
import { EventPattern, MessagePattern } from '@nestjs/microservices';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { ConfigurationError, RateLimit, SkipRateLimit } from 'nestjs-limits';
import { describeOverHttp, limited } from '../support/http-app.js';
import { describeOverWebSockets } from '../support/ws-app.js';

type Method = (this: unknown, ...args: unknown[]) => unknown;

/**
 * Replaces a method, as decorators for timing, tracing or transactions do, and drops its metadata.
 */
function Timed(): MethodDecorator {
  return (_target, _property, descriptor: PropertyDescriptor) => {
    const method = descriptor.value as Method;
    descriptor.value = function (this: unknown, ...args: unknown[]) {
      return method.apply(this, args);
    };
  };
}

/** Replaces a method and copies its metadata. */
function Traced(): MethodDecorator {
  return (target, property, descriptor: PropertyDescriptor) => {
    const method = descriptor.value as Method;
    Timed()(target, property, descriptor);
    for (const key of Reflect.getMetadataKeys(method))
      Reflect.defineMetadata(key, Reflect.getMetadata(key, method), descriptor.value as object);
  };
}

const lost = (where: string, decorator = '@RateLimit'): string =>
  `${decorator} on ${where} has no effect: another decorator above it has replaced the method, and with it the declaration. ` +
  `Put ${decorator} above that decorator, or let it copy the metadata of the method that it replaces.`;
const unused = (where: string): string =>
  `@RateLimit on ${where} counts nothing: no route, message, field or connection uses the method. For calls in code, inject RateLimiterService.`;

@Controller()
class ReportsController {
  @Get()
  @Timed()
  @RateLimit('1/minute')
  get() {
    return '';
  }
}

@Controller()
class MessagesController {
  @MessagePattern('sum')
  @Timed()
  @RateLimit('1/minute')
  sum() {
    return 0;
  }
}

@Controller()
class EventsController {
  @EventPattern('done')
  @Timed()
  @RateLimit('1/minute')
  done(event: unknown) {
    return event;
  }
}

@Resolver()
class BooksResolver {
  @Query(() => String)
  @Timed()
  @RateLimit('1/minute')
  books() {
    return '';
  }
}

@WebSocketGateway()
class ChatGateway {
  @SubscribeMessage('say')
  @Timed()
  @RateLimit('1/minute')
  say() {
    return '';
  }
}

@Controller()
class HealthController {
  @Get('health')
  @Timed()
  @SkipRateLimit()
  health() {
    return '';
  }
}

@Controller()
class TwiceController {
  @Get()
  @RateLimit('9/minute', { name: 'outer' })
  @Timed()
  @RateLimit('1/minute', { name: 'inner' })
  get() {
    return '';
  }
}

class BaseController {
  @Get('base')
  @Timed()
  @RateLimit('1/minute')
  base() {
    return '';
  }
}

@Controller()
class DerivedController extends BaseController {}

describeOverHttp('A decorator between @RateLimit and the route', (start) => {
  it.each([
    ['a route', ReportsController, lost('ReportsController.get')],
    ['a message', MessagesController, lost('MessagesController.sum')],
    ['an event', EventsController, lost('EventsController.done')],
    ['a field', BooksResolver, lost('BooksResolver.books')],
    ['a message of a gateway', ChatGateway, lost('ChatGateway.say')],
    ['@SkipRateLimit', HealthController, lost('HealthController.health', '@SkipRateLimit')],
    ['one of two declarations', TwiceController, lost('TwiceController.get')],
    ['an inherited route', DerivedController, lost('BaseController.base')],
  ])('that replaces the method stops the start: %s', async (_what, target, message) => {
    const isController = Reflect.hasMetadata('path', target);
    const metadata = isController ? limited([target]) : { ...limited([]), providers: [target] };
    await expect(start(metadata)).rejects.toThrow(new ConfigurationError(message));
  });

  it('that copies the metadata does not affect the limit, nor does one below @RateLimit', async () => {
    @Controller()
    class TracedController {
      @Get('copied')
      @Traced()
      @RateLimit('1/minute')
      copied() {
        return '';
      }

      @Get('below')
      @RateLimit('1/minute')
      @Timed()
      below() {
        return '';
      }

      @Get('free')
      @Traced()
      @SkipRateLimit()
      free() {
        return '';
      }
    }
    const app = await start(limited([TracedController]));
    expect(await app.statuses(2, '/copied')).toEqual([200, 429]);
    expect(await app.statuses(2, '/below')).toEqual([200, 429]);
    expect(await app.statuses(2, '/free')).toEqual([200, 200]);
    expect(app.log.warnings).toEqual([]);
  });

  it('above the route too causes a warning, since there is no route then', async () => {
    @Controller()
    class VanishedController {
      @Timed()
      @Get('vanished')
      @RateLimit('1/minute')
      vanished() {
        return '';
      }
    }
    const app = await start(limited([VanishedController]));
    expect(await app.statuses(1, '/vanished')).toEqual([404]);
    expect(app.log.warnings).toEqual([lost('VanishedController.vanished')]);
  });
});

describeOverHttp('An override of a limited method', (start) => {
  class CatsBase {
    @Get('list')
    @RateLimit('1/minute')
    list() {
      return '';
    }

    @Get('inherited')
    @RateLimit('1/minute')
    inherited() {
      return '';
    }
  }

  it('causes a warning, since it has no limit', async () => {
    @Controller()
    class CatsController extends CatsBase {
      @Get('list')
      override list() {
        return '';
      }
    }
    const app = await start(limited([CatsController]));
    expect(await app.statuses(2, '/list')).toEqual([200, 200]);
    expect(await app.statuses(2, '/inherited')).toEqual([200, 429]);
    expect(app.log.warnings).toEqual([
      '@RateLimit on CatsBase.list does not apply to CatsController.list, which overrides it. Repeat @RateLimit there, or say ' +
        '@SkipRateLimit() if it is to have no limit.',
    ]);
  });

  it('causes no warning with its own limits, or on a method that is no handler', async () => {
    @Controller('a')
    class LimitedController extends CatsBase {
      @Get('list')
      @RateLimit('2/minute')
      override list() {
        return '';
      }
    }
    @Controller('b')
    class FreeController extends CatsBase {
      @Get('list')
      @SkipRateLimit()
      override list() {
        return '';
      }
    }
    @Controller('c')
    class NoHandlerController extends CatsBase {
      override list() {
        return '';
      }
    }
    const app = await start(limited([LimitedController, FreeController, NoHandlerController]));
    expect(await app.statuses(3, '/a/list')).toEqual([200, 200, 429]);
    expect(await app.statuses(3, '/b/list')).toEqual([200, 200, 200]);
    expect(await app.statuses(1, '/c/list')).toEqual([404]);
    expect(app.log.warnings).toEqual([]);
  });
});

describeOverHttp('@RateLimit where nothing is handled', (start) => {
  it('causes a warning: on a method of a service or of a controller, and on a class', async () => {
    @Injectable()
    class MailService {
      @RateLimit('1/minute')
      @RateLimit('9/hour', { name: 'hourly' })
      send() {
        return '';
      }
    }
    @Injectable()
    @RateLimit('1/minute')
    class SearchService {
      search() {
        return '';
      }
    }
    @Controller()
    class HelperController {
      @Get()
      get() {
        return this.help();
      }

      @RateLimit('1/minute')
      help() {
        return '';
      }
    }
    const app = await start({ ...limited([HelperController]), providers: [MailService, SearchService] });
    expect(await app.statuses(3, '/')).toEqual([200, 200, 200]);
    expect([...app.log.warnings].sort()).toEqual(
      [
        '@RateLimit on SearchService counts nothing: the class handles no route, message, field or connection. For calls in code, ' +
          'inject RateLimiterService.',
        unused('HelperController.help'),
        unused('MailService.send'),
      ].sort(),
    );
  });

  it('causes no warning on a handler of another library with its own metadata', async () => {
    @Injectable()
    class JobsService {
      @SetMetadata('queue:job', 'mails')
      @RateLimit('1/minute')
      mails() {
        return '';
      }
    }
    const app = await start({ ...limited([]), providers: [JobsService] });
    expect(app.log.warnings).toEqual([]);
  });
});

describeOverWebSockets('A decorator between @RateLimit and handleConnection', (start) => {
  it('does not affect the limit of connections', async () => {
    @WebSocketGateway()
    class ConnectionsGateway {
      @Timed()
      @RateLimit('1/minute')
      handleConnection() {}
    }
    const app = await start([ConnectionsGateway]);
    expect((await app.connect()).end).toBeUndefined();
    await (await app.connect()).ended();
    expect(app.http.log.warnings).toEqual([]);
  });
});
