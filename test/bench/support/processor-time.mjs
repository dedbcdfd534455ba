/**
 * Microseconds that the processor has worked for this process since a `process.cpuUsage()`, its threads that collect garbage
 * included. Unlike the time on the wall, it does not grow while others have the processor.
 */
export function processorTime(start) {
  const { user, system } = process.cpuUsage(start);
  return user + system;
}
