/** DEADLINE: a promise that must settle in time. Owns one timer per call and always clears it.
 *  Deadlines are long (a busy CI machine is not a failure); they only turn a hang into a message. */

export const DEADLINE_MS = 20_000;

/** Settles as `promise` does, or rejects after `deadlineMs` with a text that names what was awaited. `detail` is asked
 *  only then, so that it may be expensive (the output of a program so far). */
export async function within<Value>(
  promise: Promise<Value>,
  what: string,
  deadlineMs: number = DEADLINE_MS,
  detail: () => string = () => '',
): Promise<Value> {
  const { promise: late, reject } = deferred<never>();
  const timer = setTimeout(() => reject(new Error(`no ${what} within ${deadlineMs} ms\n${detail()}`)), deadlineMs);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export interface Deferred<Value> {
  readonly promise: Promise<Value>;
  readonly resolve: (value: Value) => void;
  readonly reject: (error: Error) => void;
}

/** Promise.withResolvers, which Node 20 lacks. */
export function deferred<Value>(): Deferred<Value> {
  let resolve: (value: Value) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<Value>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
}
