import { HttpException, HttpStatus } from '@nestjs/common';

/**
 * A message was refused whose error must not be reported: an event has no sender, and an error may make a broker deliver it
 * again. `DroppedMessageFilter` catches it, so that the call ends without an error.
 */
export class DroppedMessageException extends HttpException {
  /** @param cause the error of the refusal */
  constructor(cause: Error) {
    super(cause.message, cause instanceof HttpException ? cause.getStatus() : HttpStatus.TOO_MANY_REQUESTS, {
      cause,
    });
  }
}
