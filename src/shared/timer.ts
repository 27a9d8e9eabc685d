/** TIMER: one thing that happens later, as rooms ask for it, so that their tests own the time.
 *  Owns nothing. */

/** Forgets a timer; harmless when it has fired. */
export type Cancel = () => void;

/** Runs `action` once after `delayMs` unless it was cancelled before. */
export type After = (delayMs: number, action: () => void) => Cancel;

/** Some time, or less where `signal` fires before it is over. Never rejects. */
export function pause(delayMs: number, signal: AbortSignal, later: After = after): Promise<void> {
  if (delayMs <= 0 || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = later(delayMs, end);
    signal.addEventListener('abort', end, { once: true });
  });
}

/** The real clock; the timer holds no process open. */
export const after: After = (delayMs, action) => {
  const timer = setTimeout(action, delayMs).unref();
  return () => clearTimeout(timer);
};
