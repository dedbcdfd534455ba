import { Catch, type ArgumentsHost, type ExceptionFilter, type Provider } from '@nestjs/common';
import { ApplicationConfig } from '@nestjs/core';
import { of } from 'rxjs';
import { DroppedMessageException } from './transports/dropped-message.exception.js';

/** Ends the call of a dropped message without an error, as if its handler had returned nothing. */
@Catch(DroppedMessageException)
class DroppedMessageFilter implements ExceptionFilter {
  catch(_exception: DroppedMessageException, host: ArgumentsHost): unknown {
    return host.getType() === 'rpc' ? of(undefined) : Promise.resolve(undefined);
  }
}

/** Registers the filter for the whole application, also for handlers that Nest calls by `ExternalContextCreator`. */
export const DROPPED_MESSAGES: Provider = {
  provide: Symbol('dropped messages'),
  useFactory: (application: ApplicationConfig) => application.useGlobalFilters(new DroppedMessageFilter()),
  inject: [ApplicationConfig],
};
