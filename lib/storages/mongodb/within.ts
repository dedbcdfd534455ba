/**
 * What a call answers, unless it takes too long: then it is told so, and goes on unheard.
 *
 * @param milliseconds how long it may take
 */
export async function within<T>(milliseconds: number, call: (late: AbortSignal) => Promise<T>): Promise<T> {
  const deadline = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      const error = new Error(`no answer within ${milliseconds} ms`);
      deadline.abort(error);
      reject(error);
    }, milliseconds);
  });
  try {
    return await Promise.race([call(deadline.signal), passed]);
  } finally {
    clearTimeout(timer);
  }
}
